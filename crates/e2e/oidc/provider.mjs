// An authorization server that others wrote (the package oidc-provider), for tests. Arguments: the
// port to listen on (0: any), how many seconds tokens live, and its clients as JSON. A client with
// `"keys"` in place of a secret has that public key. Prints where it listens, in one line.
//
// People sign in with any name and password, on pages of its own: `root` has the role of an admin, all
// others that of a subscriber.
//
// Beside what it serves by itself: `GET /requests`, how many tokens were asked for.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [port, life, clients] = process.argv.slice(2).map((text) => JSON.parse(text));
let requests = 0;

const server = createServer();
server.listen(port, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: clients.map((client) => ({
      grant_types: ['client_credentials'], redirect_uris: [], response_types: [], ...client,
    })),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    scopes: ['read', 'write'],
    claims: { openid: ['sub', 'roles'] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, roles: [id === 'root' ? 'admin' : 'subscriber'] }),
    }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
    },
    ttl: { ClientCredentials: life },
  });
  const serve = provider.callback();
  server.on('request', (request, response) => {
    if (request.url === '/requests') return response.end(String(requests));
    if (request.url === '/token') requests += 1;
    return serve(request, response);
  });
  console.log(issuer);
});
