"""Checks an attestation of ours with the field's own tools, which know nothing of it.

usage: attestation.py ENVELOPE.json PUBLIC_KEY.pem

securesystemslib verifies the DSSE envelope, in-toto reads it as its own metadata, and in-toto-attestation validates the
Statement. Prints subject and predicate as JSON; exit code 1 if anything does not hold.
"""

import json
import sys

from google.protobuf.json_format import MessageToDict, Parse
from in_toto.models.metadata import Metadata
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

path, pem = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    data = json.load(file)
with open(pem, "rb") as file:
    public = load_pem_public_key(file.read())

envelope = Envelope.from_dict(data)
keyid = next(iter(envelope.signatures))
key = SSlibKey.from_crypto(public, keyid=keyid)
verified = envelope.verify([key], threshold=1)
assert list(verified) == [keyid], verified

metadata = Metadata.load(path)
assert metadata.signatures and type(metadata).__name__ == "Envelope"

statement = Statement.copy_from_pb(Parse(envelope.payload.decode(), statement_pb2.Statement()))
statement.validate()
found = MessageToDict(statement.pb)

# A changed payload is not verified.
changed = dict(data, payload=data["payload"][:-8] + "AAAAAAA=")
try:
    Envelope.from_dict(changed).verify([key], threshold=1)
except Exception:  # noqa: BLE001: whatever the library raises, it did not accept it
    print(json.dumps({"type": envelope.payload_type, **found}))
else:
    sys.exit("a changed payload was accepted")
