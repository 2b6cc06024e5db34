// Verifies signatures with the official JavaScript library, a request a line of standard input.
// Answers each line with `ok`, or with why not. The library knows no Ed25519: such a signature is
// verified with Node's own crypto.

import { createPublicKey, verify as verifySignature } from "node:crypto";
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

function verifyEd25519(key, body, headers) {
  const x = Buffer.from(key.slice("whpk_".length), "base64").toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const right = headers["webhook-signature"].split(" ").some((signature) => {
    const [version, encoded] = signature.split(",");
    const bytes = Buffer.from(encoded, "base64");
    return version === "v1a" && verifySignature(null, content, publicKey, bytes);
  });
  if (!right) throw new Error("No matching signature found");
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { key, body, headers } = JSON.parse(line);
    if (key.startsWith("whpk_")) verifyEd25519(key, body, headers);
    else new Webhook(key).verify(body, headers);
    console.log("ok");
  } catch (error) {
    console.log(String(error));
  }
}
