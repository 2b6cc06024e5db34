"""Verifies signatures with the official Python library, a request a line of standard input.

Answers each line with `ok`, or with why not. The library knows no Ed25519, nor does Python: such a
signature is verified with the package `cryptography`, by a `whpk_` key or by any of the keys of a
JWK Set.
"""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook


def verify_ed25519(keys, body, headers):
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    for signature in headers["webhook-signature"].split(" "):
        version, encoded = signature.split(",")
        if version != "v1a":
            continue
        for key in keys:
            public = Ed25519PublicKey.from_public_bytes(key)
            try:
                return public.verify(base64.b64decode(encoded), content)
            except InvalidSignature:
                continue
    raise ValueError("No matching signature found")


def of_jwk(jwk):
    assert (jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    return base64.urlsafe_b64decode(jwk["x"] + "=")


def verify(body, headers, key=None, jwks=None):
    if jwks:
        verify_ed25519([of_jwk(jwk) for jwk in jwks["keys"]], body, headers)
    elif key.startswith("whpk_"):
        verify_ed25519([base64.b64decode(key.removeprefix("whpk_"))], body, headers)
    else:
        Webhook(key).verify(body, headers)


for line in sys.stdin:
    try:
        verify(**json.loads(line))
        print("ok", flush=True)
    except Exception as error:
        print(repr(error), flush=True)
