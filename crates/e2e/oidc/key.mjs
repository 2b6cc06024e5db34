// Makes a key pair of the kind that the argument names (`ES256` or `RS256`), and prints it as JSON: the
// private key in PEM, the public one as a JWK.
import { generateKeyPairSync } from 'node:crypto';

const [kind, options] = process.argv[2] === 'ES256'
  ? ['ec', { namedCurve: 'P-256' }]
  : ['rsa', { modulusLength: 2048 }];
const { privateKey, publicKey } = generateKeyPairSync(kind, options);
console.log(JSON.stringify({
  private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  jwk: { ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig' },
}));
