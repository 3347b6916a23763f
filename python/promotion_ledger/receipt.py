"""Receipts: C2SP tlog-proof over the RFC 6962 tree of entry headers (src/event/FORMAT.md sections 6, 8, 9, 10). Pure."""
from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from . import ed25519
from .errors import ReceiptInvalid

_LEN_MAX = 64 * 1024
_HEADER_LEN = 168
_OUTCOMES = {1: "accepted", 2: "duplicate", 3: "refused", 4: "malformed"}


@dataclass(frozen=True)
class LogKey:
    """The key that a ledger's checkpoints verify with, written ``<origin>+<id>+<base64>``."""

    origin: str
    key_id: bytes
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> LogKey:
        """Reads a C2SP signed-note verifier key of algorithm 1 (Ed25519); ``ValueError`` says what is wrong."""
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:
            raise ValueError("the log key is not of the form origin+id+base64")
        origin, stated, encoded = parts
        key = base64.b64decode(encoded, validate=True)
        if len(key) != 33 or key[0] != 1:
            raise ValueError("the log key is not an Ed25519 key")
        key_id = hashlib.sha256(origin.encode() + b"\n" + key).digest()[:4]
        if stated.lower() != key_id.hex():
            raise ValueError("the log key's id does not fit its origin and key: it is damaged")
        return cls(origin, key_id, key[1:])


@dataclass(frozen=True)
class Header:
    """What the proof is about: an entry of the ledger, FORMAT.md section 6."""

    kind: int
    outcome: str
    seq: int
    #: Microseconds since the Unix epoch, UTC.
    recorded_at: int
    event_digest: bytes

    @classmethod
    def decode(cls, data: bytes) -> Header:
        if len(data) != _HEADER_LEN or data[0] != 1 or data[12:16] != bytes(4) or data[2] not in _OUTCOMES:
            raise ReceiptInvalid("its extra data is no entry header of version 1")
        return cls(
            kind=data[1],
            outcome=_OUTCOMES[data[2]],
            seq=int.from_bytes(data[16:24], "big"),
            recorded_at=int.from_bytes(data[24:32], "big"),
            event_digest=data[104:136],
        )


def _base64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ReceiptInvalid(f"{what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ReceiptInvalid(f"{what} is not canonical base64")
    return data


def _number(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or (len(text) > 1 and text[0] == "0") or len(text) > 20:
        raise ReceiptInvalid(f"{what} is not a decimal number")
    return int(text)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(header: bytes, seq: int, size: int, proof: list[bytes]) -> bytes:
    """The root to which an inclusion proof leads: RFC 9162 section 2.1.3.2. ``ReceiptInvalid`` if it does not fit."""
    if seq >= size:
        raise ReceiptInvalid(f"entry {seq} is not among {size}")
    first, last = seq, size - 1
    found = hashlib.sha256(b"\x00" + header).digest()
    for sibling in proof:
        if last == 0:
            raise ReceiptInvalid("its inclusion proof is too long")
        if first & 1 or first == last:
            found = _node(sibling, found)
            while not first & 1 and first != 0:
                first, last = first >> 1, last >> 1
        else:
            found = _node(found, sibling)
        first, last = first >> 1, last >> 1
    if last != 0:
        raise ReceiptInvalid("its inclusion proof is too short")
    return found


def _checkpoint(note: str, key: LogKey) -> tuple[int, bytes]:
    text, separator, signatures = note.partition("\n\n")
    text += "\n"
    if not separator or not signatures.endswith("\n"):
        raise ReceiptInvalid("its checkpoint is not a signed note")
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "\u2014" or not encoded:
            raise ReceiptInvalid("its checkpoint has a line that is no signature")
        signature = _base64(encoded, "a signature of its checkpoint")
        if name == key.origin and signature[:4] == key.key_id:
            if ed25519.verify(key.public_key, text.encode(), signature[4:]):
                break
            raise ReceiptInvalid("the signature of its checkpoint does not hold")
    else:
        raise ReceiptInvalid(f"its checkpoint is not signed by {key.origin}")
    lines = text.split("\n")
    if len(lines) < 4 or lines[0] != key.origin:
        raise ReceiptInvalid("its checkpoint is of another ledger")
    root = _base64(lines[2], "the root of its checkpoint")
    if len(root) != 32:
        raise ReceiptInvalid("the root of its checkpoint has not 32 bytes")
    return _number(lines[1], "the size of its checkpoint"), root


def verify(tlog_proof: str, key: LogKey) -> Header:
    """The header that a receipt proves to stand in the ledger of a key; ``ReceiptInvalid`` says why it does not."""
    if len(tlog_proof.encode()) > _LEN_MAX:
        raise ReceiptInvalid("it is longer than 64 KiB")
    head, separator, note = tlog_proof.partition("\n\n")
    lines = head.split("\n")
    if not separator or len(lines) < 3 or lines[0] != "c2sp.org/tlog-proof@v1":
        raise ReceiptInvalid("it is not a tlog-proof")
    if not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise ReceiptInvalid("it has no extra data or no index")
    data = _base64(lines[1][len("extra "):], "its extra data")
    header = Header.decode(data)
    if _number(lines[2][len("index "):], "its index") != header.seq:
        raise ReceiptInvalid("its index is not the entry's")
    proof = [_base64(line, "a hash of its inclusion proof") for line in lines[3:]]
    if len(proof) > 63 or any(len(sibling) != 32 for sibling in proof):
        raise ReceiptInvalid("its inclusion proof is damaged")
    size, root = _checkpoint(note, key)
    if root_of(data, header.seq, size, proof) != root:
        raise ReceiptInvalid("its inclusion proof does not lead to the signed root")
    return header
