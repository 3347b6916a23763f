#!/usr/bin/env python3
"""Writes seeds for the fuzz targets into fuzz/corpus/, from the test vectors and the example."""
import json
import pathlib

here = pathlib.Path(__file__).resolve().parent
root = here.parent


def seed(target, name, content):
    path = here / "corpus" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


for i, entry in enumerate(json.loads((root / "tests/vectors/ledger.json").read_text())["entries"]):
    seed("record", f"vector-{i}", bytes.fromhex(entry["value"]))
    seed("header", f"vector-{i}", bytes.fromhex(entry["header"]))
proofs = json.loads((root / "tests/vectors/proofs.json").read_text())
for i, receipt in enumerate(proofs["receipts"]):
    seed("receipt", f"vector-{i}", receipt["text"].encode())
for i, checkpoint in enumerate(proofs["checkpoints"]):
    seed("receipt", f"checkpoint-{i}", checkpoint["note"].encode())
example = root / "examples/credit"
seed("policy", "example", (example / "policy.yaml").read_bytes())
for path in example.glob("*/profile*.json"):
    seed("profile", f"{path.parent.name}-{path.name}", path.read_bytes())
