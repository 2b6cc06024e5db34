// Verifies signatures with the official JavaScript library, a request a line of standard input.
// Answers each line with `ok`, or with why not. The library knows no Ed25519: such a signature is
// verified with Node's own crypto, by a `whpk_` key or by any of the keys of a JWK Set.

import { createPublicKey, verify as verifySignature } from "node:crypto";
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

function verifyEd25519(jwks, body, headers) {
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const keys = jwks.map((key) => createPublicKey({ key, format: "jwk" }));
  const right = headers["webhook-signature"].split(" ").some((signature) => {
    const [version, encoded] = signature.split(",");
    const bytes = Buffer.from(encoded, "base64");
    return version === "v1a" && keys.some((key) => verifySignature(null, content, key, bytes));
  });
  if (!right) throw new Error("No matching signature found");
}

function jwk(key) {
  const x = Buffer.from(key.slice("whpk_".length), "base64").toString("base64url");
  return { kty: "OKP", crv: "Ed25519", x };
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { key, jwks, body, headers } = JSON.parse(line);
    if (jwks) verifyEd25519(jwks.keys, body, headers);
    else if (key.startsWith("whpk_")) verifyEd25519([jwk(key)], body, headers);
    else new Webhook(key).verify(body, headers);
    console.log("ok");
  } catch (error) {
    console.log(String(error));
  }
}
