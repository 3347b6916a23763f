#!/usr/bin/env python3
"""A second verifier of examiner bundles, written from src/event/FORMAT.md alone: one file, to be read before it is run.

usage: verify_bundle.py [--ledger-id HEX] [--key VKEY] [--witness VKEY]... [--sample N] BUNDLE.zip...

Needs Python 3.10 or later and two packages: cryptography (Ed25519) and blake3. Nothing is fetched, nothing is written.
Prints one line of JSON for each bundle: what was checked, in numbers, or the first thing that is wrong and where.
Exit code 0: every bundle holds; 1: one does not; 2: usage.

What it does not repeat: the rules of the six fields (section 13) beyond their presence, routing (section 15), and the
signatures of time-stamp authorities (`openssl ts -verify` checks those).
Without --ledger-id and --key, compare the ledger_id and log key that it prints with the ones that you know.
"""

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
import zlib

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NONE = 2**64 - 1
ADMIN_KINDS = {2, 3, 4, 5, 8, 9, 10}
OBSERVATIONS = {24, 25, 26}
KINDS = range(1, 33)
REASONS = {*range(0, 9), *range(100, 113)}
PROMOTED, ACCEPTED, MALFORMED = 18, 1, 4


class Wrong(Exception):
    """What is wrong, and in which member."""

    def __init__(self, member, what):
        super().__init__(f"{member}: {what}")
        self.member = member
        self.what = what


def need(holds, member, what):
    if not holds:
        raise Wrong(member, what)


# --- hashes and signatures, section 4 --------------------------------------------------------------------------


def tag(name):
    return b"promotion-ledger v1 " + name.encode() + b"\0"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def u64(number):
    return struct.pack(">Q", number)


def tagged(name, *parts):
    return sha256(tag(name), *(u64(len(part)) + part for part in parts))


def record_digest(value):
    return blake3(value, derive_key_context="promotion-ledger v1 record").digest()


def link_of(header):
    return blake3(header, derive_key_context="promotion-ledger v1 link").digest()


def signed(public_key, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def unbase64(text):
    """Standard base64 with padding, in its one spelling; None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64.b64encode(data).decode() == text else None


# --- protobuf, by hand -----------------------------------------------------------------------------------------


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value & NONE, at
        if shift > 63:
            raise ValueError("a varint is too long")


def fields(data):
    """(number, value) of each field: an int or bytes. ValueError or IndexError if it is no message."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire in (1, 2, 5):
            length = {1: 8, 5: 4}.get(wire)
            if length is None:
                length, at = varint(data, at)
            if at + length > len(data):
                raise ValueError("a field ends too late")
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"wire type {wire}")
        found.append((number, value))
    return found


def get(data, number, default=b""):
    return next((value for n, value in reversed(fields(data)) if n == number), default)


def every(data, number):
    return [value for n, value in fields(data) if n == number]


def dig(data, *path):
    """A field of a field of a field."""
    for number in path:
        data = get(data, number)
    return data


# --- the container, section 20 -------------------------------------------------------------------------------

NAME = re.compile(r"(?!\.{1,2}(/|$))[A-Za-z0-9._-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*\Z")


def common(name, crc, length):
    return struct.pack("<HHHHHIIIHH", 10, 0, 0, 0, 0x21, crc, length, length, len(name), 0)


def container(data):
    """name -> bytes. The file must be what writing these members again gives."""
    members, central, at = {}, b"", 0
    while data[at : at + 4] == b"PK\x03\x04":
        need(at + 30 <= len(data), "the file", "ends too early")
        crc, length, _, name_length = struct.unpack("<IIIH", data[at + 14 : at + 28])
        need(name_length <= 200, "the file", "the name of a member is longer than 200 bytes")
        raw = data[at + 30 : at + 30 + name_length]
        name = raw.decode("ascii", "replace")
        need(NAME.match(name), "the file", "the name of a member is no path inside a bundle")
        need(not members or next(reversed(members)) < name, "the file", f"{name} is there twice, or out of order")
        need(data[at + 4 : at + 30] == common(raw, crc, length), "the file", f"{name} is compressed, dated or marked")
        start = at + 30 + name_length
        content = data[start : start + length]
        need(len(content) == length, "the file", "ends too early")
        need(zlib.crc32(content) == crc, "the file", f"the bytes of {name} do not have their checksum")
        members[name] = content
        central += b"PK\x01\x02" + struct.pack("<H", 10) + common(raw, crc, length) + bytes(10) + struct.pack("<I", at) + raw
        at = start + length
    need(members, "the file", "does not begin with a member of a zip file")
    need(len(members) <= 65_535 and at + len(central) < 2**32, "the file", "is longer than a bundle may be")
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(central), at, 0)
    need(data[at:] == central + end, "the file", "the directory does not say what the members are")
    return members


# --- headers and tree, sections 6 and 8 -----------------------------------------------------------------------


def header_of(data, member):
    """The fields of 168 bytes."""
    version, kind, outcome, flags, reason, rules, record_len, zero, seq, recorded_at, refers_to = struct.unpack(
        ">BBBBHHIIQQQ", data[:40]
    )
    good = version == 1 and (kind == 0 or kind in KINDS) and outcome in (1, 2, 3, 4) and flags in (0, 1)
    need(good and reason in REASONS and zero == 0, member, "holds a header with an unknown value")
    names = "kind outcome record_len seq recorded_at refers_to reason".split()
    found = dict(zip(names, (kind, outcome, record_len, seq, recorded_at, refers_to, reason)))
    found.update(prev_link=data[40:72], record_digest=data[72:104], event_digest=data[104:136], bytes=data)
    return found


def root_of(leaves):
    """RFC 6962 section 2.1, from the roots of complete subtrees at the right edge."""
    edge = []
    for size, leaf in enumerate(leaves):
        while size & 1:
            leaf = sha256(b"\x01", edge.pop(), leaf)
            size >>= 1
        edge.append(leaf)
    root = edge.pop() if edge else sha256(b"")
    while edge:
        root = sha256(b"\x01", edge.pop(), root)
    return root


def included(leaf, index, size, path, root):
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn = index, size - 1
    for hash_ in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            leaf = sha256(b"\x01", hash_, leaf)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            leaf = sha256(b"\x01", leaf, hash_)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and leaf == root


# --- signed notes, section 9 ------------------------------------------------------------------------------------


def vkey_of(name, kind, key):
    id_ = sha256(name.encode(), b"\n", bytes([kind]), key)[:4]
    return f"{name}+{id_.hex()}+{base64.b64encode(bytes([kind]) + key).decode()}", id_


def note_of(note, member):
    """(text, [(name, id, signature)]) of a signed note."""
    text, blank, lines = note.rpartition("\n\n")
    controls = any(char < " " and char != "\n" for char in note)
    need(blank and lines.endswith("\n") and not controls, member, "is not a signed note")
    signatures = []
    for line in lines[:-1].split("\n"):
        parts = line.split(" ", 2)
        data = unbase64(parts[2]) if len(parts) == 3 and parts[0] == "\u2014" else None
        named = data and parts[1] and "+" not in parts[1] and not any(char.isspace() for char in parts[1])
        need(named and len(data) >= 5, member, "is not a signed note")
        signatures.append((parts[1], data[:4], data[4:]))
    return text + "\n", signatures


def checkpoint_of(note, origin, key, member):
    """(size, root) that the log key signed."""
    text, signatures = note_of(note, member)
    _, id_ = vkey_of(origin, 1, key)
    own = [signature for name, found, signature in signatures if (name, found) == (origin, id_)]
    need(own and signed(key, text.encode(), own[0]), member, "is not signed by the log key")
    lines = text.split("\n")
    need(lines.pop() == "" and len(lines) >= 3 and all(lines), member, "is no checkpoint")
    root = unbase64(lines[2])
    plain = re.fullmatch(r"0|[1-9][0-9]*", lines[1])
    need(plain and root is not None and len(root) == 32, member, "is no checkpoint")
    need(lines[0] == origin, member, "is another ledger's")
    return int(lines[1]), root


def cosignature_of(note, vkey, member):
    """The bytes of a witness's cosignature: time and signature. None without one that holds."""
    name, _, encoded = vkey.split("+", 2)
    key = unbase64(encoded)
    need(key and key[0] == 4 and vkey_of(name, 4, key[1:])[0] == vkey, "--witness", "is no key of a witness")
    text, signatures = note_of(note, member)
    for found, id_, signature in signatures:
        if (found, id_) == (name, vkey_of(name, 4, key[1:])[1]) and len(signature) == 72:
            seconds = struct.unpack(">Q", signature[:8])[0]
            message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
            if signed(key[1:], message, signature[8:]):
                return signature
    return None


# --- records and the keys that may sign them, sections 1, 7, 11 and 12 ----------------------------------------


def key_id_of(key):
    return sha256(tag("key id"), key)


class Keys:
    """The keys of a ledger as its own entries change them."""

    def __init__(self, genesis):
        self.origin = get(genesis, 1).decode()
        self.admins = set(every(genesis, 3))
        self.quorum = get(genesis, 4, 0)
        self.log_key = get(genesis, 5)
        self.doors = {key_id_of(get(key, 1)): [get(key, 1), get(key, 2, 0)] for key in every(genesis, 6)}
        self.admin_signatures = 0

    def act(self, kind, event, member):
        """Follows an accepted act of the administrators."""
        statement = get(event, 1)
        message = tag("admin statement") + statement
        pairs = [(get(one, 1), get(one, 2)) for one in every(event, 2)]
        signers = {key for key, signature in pairs if key in self.admins and signed(key, message, signature)}
        need(len(signers) >= self.quorum, member, "is an accepted act that too few administrators signed")
        self.admin_signatures += len(signers)
        payload = get(statement, 4)
        if kind == 3:
            key, roles = get(get(payload, 1), 1), get(get(payload, 1), 2, 0)
            if roles & 8:
                self.admins.add(key)
            else:
                self.doors[key_id_of(key)] = [key, roles]
        elif kind in (4, 5):
            self.doors.pop(get(payload, 1), None)
            self.admins = {key for key in self.admins if key_id_of(key) != get(payload, 1)}


def role_of(kind):
    if kind == 1 or kind in ADMIN_KINDS:
        return 2
    return 4 if kind in OBSERVATIONS else 1


def event_of(body):
    return next(((number - 16, value) for number, value in fields(body) if number > 16), (0, b""))


def check_record(header, record, state, member):
    """A record against its header, under the keys of its position. Returns its body."""
    need(record_digest(record) == header["record_digest"], member, "its record digest is not the header's")
    need(len(record) == header["record_len"], member, "its length is not the header's")
    if header["outcome"] == MALFORMED:
        raise Wrong(member, "is malformed, and so no part of a bundle")
    key_id, signature, body = get(record, 2), get(record, 3), get(record, 4)
    need(sha256(body) == header["event_digest"], member, "its event digest is not the header's")
    need(get(body, 3, 0) == header["recorded_at"], member, "its time is not the header's")
    kind, event = event_of(body)
    if header["seq"] == 0:
        need(kind == 1 and sha256(body) == state["ledger_id"], member, "is not the genesis of this ledger")
        state["keys"] = Keys(event)
    keys = state["keys"]
    need(key_id in keys.doors, member, "is signed by a key that could not sign at that position")
    key, roles = keys.doors[key_id]
    need(header["reason"] == 100 or roles & role_of(header["kind"]), member, "is signed by a key without that role")
    if header["outcome"] == ACCEPTED and header["kind"] in ADMIN_KINDS:
        keys.act(header["kind"], event, member)
    ledger_id = state["ledger_id"] if header["seq"] else bytes(32)
    message = tag("record signature") + ledger_id + body
    need(signed(key, message, signature), member, "its signature does not hold")
    return body


# --- promotions, sections 5, 12 and 13 ---------------------------------------------------------------------------


def promotion_key(promoted):
    slot, model, request = get(promoted, 1), get(promoted, 2), get(promoted, 4)
    role = get(slot, 4, 0)
    parts = [get(slot, 1), get(slot, 2), get(slot, 3), struct.pack(">i", role if role in range(5) else 0)]
    parts += [get(model, 1), get(model, 2), get(model, 4), get(request, 1), get(request, 2)]
    return tagged("promotion key", *parts)


def evidence_of(promoted):
    """Every EvidenceRef of a promotion."""
    paths = [(2, 5), (3, 3), (3, 4), (4, 10, 3), (7, 6), (7, 7), (8,), (10,), (11, 3)]
    found = [dig(promoted, *path) for path in paths]
    for explanation in every(promoted, 6):
        found += [get(explanation, 2), get(explanation, 5)]
    return [reference for reference in found if reference]


def check_promotion(seq, entries, needed):
    """A promotion against the rest of the bundle; adds the evidence that it needs: SHA-256 -> length."""
    member = f"entries/{seq}.record"
    need(seq in entries, member, "is missing: it was asked for")
    header, body = entries[seq]
    kind, promoted = event_of(body)
    need(kind == PROMOTED and header["outcome"] == ACCEPTED, member, "is no accepted promotion")
    need(get(body, 1) == promotion_key(promoted), member, "its idempotency key is not its promotion key")
    for field, name in enumerate("slot model comparison request approvals explanations dataset profile".split(), 1):
        need(any(number == field for number, _ in fields(promoted)), member, f"has no {name}")

    def referred(reference, kind, name):
        to, digest = get(reference, 1, 0), get(reference, 2)
        need(to in entries, f"entries/{to}.record", f"is missing: entry {seq} refers to it")
        found, body = entries[to]
        same = (found["event_digest"], found["kind"], found["outcome"]) == (digest, kind, ACCEPTED)
        need(same, member, f"{name} names entry {to}, which is another event than it says")
        return event_of(body)[1]

    review = get(promoted, 11)
    if review:
        sealed = referred(review, 11, "review")
        for artefact in every(sealed, 4):
            needed.setdefault(get(artefact, 3), get(artefact, 4, 0))
        needed.setdefault(dig(sealed, 3, 3), get(get(sealed, 3), 4, 0))
    for approval in every(promoted, 5):
        if get(approval, 13):
            referred(get(approval, 13), 12, "an approval")
    policy = dig(promoted, 9, 3)
    if policy:
        before = [event_of(body)[1] for at, (header, body) in entries.items() if at < seq and (header["kind"], header["outcome"]) == (8, ACCEPTED)]
        payloads = [dig(act, 1, 4) for act in before]
        activated = [p for p in payloads if get(p, 2) == policy and sha256(get(p, 1)) == policy]
        need(activated, member, "was routed by a policy that was not activated before")
    for reference in evidence_of(promoted):
        needed.setdefault(get(reference, 3), get(reference, 4, 0))


def dates_of(headers, entries):
    """The running maximum of recorded_at over accepted entries, as clock resets correct it."""
    dates, running = [], 0
    for header in headers:
        if header["outcome"] == ACCEPTED:
            if header["kind"] == 10:
                payload = dig(event_of(entries[header["seq"]][1])[1], 1, 4)
                running = get(payload, 2, 0)
                from_seq = get(payload, 1, 0)
                dates[from_seq:] = [running] * len(dates[from_seq:])
            else:
                running = max(running, header["recorded_at"])
        dates.append(running)
    return dates


# --- the bundle, section 20 ----------------------------------------------------------------------------------------


def manifest_of(data):
    member = "bundle.json"
    try:
        found = json.loads(data)
        spelled = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    except (ValueError, UnicodeError):
        raise Wrong(member, "is not JSON") from None
    need(isinstance(found, dict) and spelled == data, member, "is not in the one spelling that a manifest has")
    members = {"drawn", "format", "ledger_id", "period", "promotions", "withheld"}
    need(set(found) == members, member, "has other members than a manifest has")
    number = lambda value: type(value) is int and 0 <= value <= NONE
    texts = lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    period, promotions = found["period"], found["promotions"]
    need(found["format"] == "promotion-ledger bundle v1", member, "has another format")
    need(isinstance(found["ledger_id"], str) and re.fullmatch("[0-9a-f]{64}", found["ledger_id"]), member, "ledger_id")
    need(texts(found["drawn"]) and texts(found["withheld"]), member, "drawn or withheld")
    whole = period is None or (isinstance(period, dict) and set(period) == {"from", "to"} and all(map(number, period.values())))
    need(whole, member, "period")
    need(isinstance(promotions, list) and all(map(number, promotions)), member, "promotions")
    need(all(a < b for a, b in zip(promotions, promotions[1:])), member, "promotions are out of order")
    return found


PATTERNS = [
    ("record", r"entries/(0|[1-9][0-9]*)\.record"),
    ("receipt", r"entries/(0|[1-9][0-9]*)\.tlog-proof"),
    ("evidence", r"artefacts/([0-9a-f]{64})\.[a-z0-9]{1,8}"),
    ("claims", r"claims/(0|[1-9][0-9]*)-([0-9a-f]{64})\.claims"),
    ("stamped", r"timestamps/(0|[1-9][0-9]*)\.txt"),
    ("stamp", r"timestamps/(0|[1-9][0-9]*)-(0|[1-9][0-9]*)\.tsr"),
    ("screen", r"review-(0|[1-9][0-9]*)\.html"),
    ("drawn", r"promotion-(?:0|[1-9][0-9]*)\.html|README\.txt|index\.html|people"),
    ("plain", r"bundle\.json|checkpoint\.txt|headers\.bin"),
]


def sort_members(members):
    parts = {name: {} for name, _ in PATTERNS}
    for name, data in members.items():
        for part, pattern in PATTERNS:
            match = re.fullmatch(pattern, name)
            if match:
                key = match.groups() or (name,)
                break
        else:
            raise Wrong(name, "is no part of a bundle")
        most = {"record": 256 << 10, "claims": 256 << 10, "receipt": 64 << 10, "stamped": 64 << 10, "stamp": 64 << 10}.get(part, NONE)
        need(len(data) <= most, "the file", f"{name} has {len(data)} bytes; {most} are the most")
        if part == "stamp":
            key = int(key[0]), int(key[1])
        elif part in ("record", "receipt", "screen", "stamped"):
            key = int(key[0])
            need(key <= NONE, name, "is no part of a bundle")
        elif part == "evidence":
            key = bytes.fromhex(key[0])
            need(sha256(data) == key, name, "its SHA-256 is not its name: it was changed")
            need(key not in parts[part], name, "is there under another ending as well")
        elif part == "claims":
            key = (int(key[0]), bytes.fromhex(key[1]))
        else:
            key = key[0]
        parts[part][key] = data
    for name in ("bundle.json", "checkpoint.txt", "headers.bin"):
        need(parts["plain"].get(name), name, "is missing")
    return parts


def receipt_of(text, member):
    """(header, index, path, checkpoint), section 10."""
    proof, blank, note = text.partition("\n\n")
    lines = proof.split("\n")
    need(blank and len(lines) >= 3 and lines[0] == "c2sp.org/tlog-proof@v1", member, "is no tlog-proof")
    header = unbase64(lines[1].removeprefix("extra ")) if lines[1].startswith("extra ") else None
    index = re.fullmatch(r"index (0|[1-9][0-9]*)", lines[2])
    path = [unbase64(line) for line in lines[3:]]
    need(header and len(header) == 168 and index, member, "is no tlog-proof with a header")
    need(all(hash_ and len(hash_) == 32 for hash_ in path) and len(path) <= 64, member, "holds something that is no hash")
    return header, int(index[1]), path, note


def verify(data, known):
    parts = sort_members(container(data))
    plain = parts["plain"]
    manifest = manifest_of(plain["bundle.json"])
    drawn = {name: sha256(data).hex() for name, data in parts["drawn"].items()}
    if drawn != manifest["drawn"]:
        names = {*drawn, *manifest["drawn"]}
        name = min(name for name in names if drawn.get(name) != manifest["drawn"].get(name))
        raise Wrong(name, "is not the file that the bundle was made with")
    ledger_id = bytes.fromhex(manifest["ledger_id"])
    need(known.ledger_id in (None, ledger_id.hex()), "bundle.json", "is about another ledger")

    # Every header, its link to the one before, and the records that are here.
    rows = plain["headers.bin"]
    need(len(rows) % 168 == 0, "headers.bin", "its length is no multiple of 168")
    need(0 in parts["record"], "entries/0.record", "is missing: genesis names the keys")
    count = len(rows) // 168
    for seq in parts["record"]:
        need(seq < count, f"entries/{seq}.record", "is behind the end of the headers")
    state, headers, entries, before = {"ledger_id": ledger_id}, [], {}, bytes(32)
    for seq in range(count):
        header = header_of(rows[seq * 168 : seq * 168 + 168], "headers.bin")
        need(header["seq"] == seq, "headers.bin", f"entry {seq} says that it is another")
        need(header["prev_link"] == before, "headers.bin", f"the link of entry {seq} is not that of the entry before")
        before = link_of(header["bytes"])
        headers.append(header)
        if seq in parts["record"]:
            member = f"entries/{seq}.record"
            try:
                entries[seq] = header, check_record(header, parts["record"][seq], state, member)
            except (ValueError, IndexError, TypeError, AttributeError) as error:
                raise Wrong(member, f"cannot be read: {error}") from None
    keys = state["keys"]

    # The checkpoint is over exactly these headers, and the log key of genesis signed it.
    member = "checkpoint.txt"
    text = lambda data, member: decoded(data, member)
    note = text(plain[member], member)
    vkey, _ = vkey_of(keys.origin, 1, keys.log_key)
    need(known.key in (None, vkey), "entries/0.record", f"names the log key {vkey}")
    size, root = checkpoint_of(note, keys.origin, keys.log_key, member)
    leaves = (sha256(b"\x00", header["bytes"]) for header in headers)
    need((size, root) == (count, root_of(leaves)), member, "is over other headers than those here")
    cosignatures = [cosignature_of(note, witness, member) for witness in known.witness]
    need(all(cosignatures), member, "holds no cosignature of a witness that was named")

    # Time-stamped checkpoints are over the first headers, and the stamps are about them.
    stamped = {size: text(data, f"timestamps/{size}.txt") for size, data in parts["stamped"].items()}
    for size, under in stamped.items():
        member = f"timestamps/{size}.txt"
        first = (sha256(b"\x00", header["bytes"]) for header in headers[:size])
        found = checkpoint_of(under, keys.origin, keys.log_key, member)
        need(found == (size, root_of(first)) and size <= count, member, "is not over the first headers of this bundle")
        need((size, 0) in parts["stamp"], member, "is there without a stamp")
    for (size, i), data in parts["stamp"].items():
        member = f"timestamps/{size}-{i}.tsr"
        need(size in stamped, member, "is there without its checkpoint")
        need(sha256(stamped[size].encode()) in data, member, "is not about this checkpoint")

    # Receipts: one for each record, against this checkpoint.
    for seq in parts["receipt"]:
        need(seq in entries, f"entries/{seq}.tlog-proof", "is there without its record")
    for seq, (header, _) in entries.items():
        member = f"entries/{seq}.tlog-proof"
        need(seq in parts["receipt"], member, "is missing")
        found, index, path, under = receipt_of(text(parts["receipt"][seq], member), member)
        same = (found, index, under) == (header["bytes"], seq, note)
        need(same, member, "is for another header or checkpoint than those here")
        need(included(sha256(b"\x00", found), index, size, path, root), member, "its proof does not hold")

    # Nothing that belongs to what was asked for is left out.
    about = set(manifest["promotions"])
    for seq in manifest["promotions"]:
        review = dig(event_of(entries[seq][1])[1], 11) if seq in entries and entries[seq][0]["kind"] == PROMOTED else b""
        about |= {get(review, 1, 0)} if review else set()
    for header in headers:
        belongs = header["seq"] == 0 or header["kind"] in ADMIN_KINDS or header["refers_to"] in about
        missing = header["outcome"] == ACCEPTED and belongs and header["seq"] not in entries
        need(not missing, f"entries/{header['seq']}.record", "is missing: the headers show that it belongs here")
    dates = dates_of(headers, entries)
    period = manifest["period"]
    if period:
        inside = lambda h: (h["kind"], h["outcome"]) == (PROMOTED, ACCEPTED) and period["from"] <= dates[h["seq"]] < period["to"]
        there = [header["seq"] for header in headers if inside(header)]
        need(there == manifest["promotions"], "bundle.json", "its promotions are not those of the period, all of them")

    # Promotions, their evidence, and what was opened.
    needed = {}
    for seq in manifest["promotions"]:
        check_promotion(seq, entries, needed)
    here = {digest: len(data) for digest, data in parts["evidence"].items()}
    here.update({sha256(data): len(data) for data in parts["screen"].values()})
    for digest, length in here.items():
        need(needed.get(digest) == length, f"artefacts/{digest.hex()}", "is no evidence, or has another length")
    for name in manifest["withheld"]:
        plain_name = re.fullmatch("[0-9a-f]{64}", name)
        fits = plain_name and bytes.fromhex(name) in needed and bytes.fromhex(name) not in here
        need(fits, "bundle.json", f"withholds {name}, which is here, or evidence of none of these promotions")
    for digest in needed:
        need(digest in here or digest.hex() in manifest["withheld"], f"artefacts/{digest.hex()}", "is missing")
    for (seq, subject), data in parts["claims"].items():
        member = f"claims/{seq}-{subject.hex()}.claims"
        need(seq in entries, member, "is there without its entry")
        commitment = sha256(tag("commitment"), data)
        items = [(get(item, 1), get(item, 4)) for item in every(entries[seq][1], 5)]
        need((subject, commitment) in items, member, "is not what was sealed for this person in that entry")

    report = {
        "ok": True,
        "ledger_id": ledger_id.hex(),
        "log_key": vkey,
        "size": size,
        "root": root.hex(),
        "checked": {
            "headers": count,
            "records": len(entries),
            "record_bytes": sum(map(len, parts["record"].values())),
            "signatures": len(entries),
            "admin_signatures": keys.admin_signatures,
            "proofs": len(entries),
            "promotions": len(manifest["promotions"]),
            "evidence": len(here),
            "evidence_bytes": sum(here.values()),
            "withheld": len(manifest["withheld"]),
            "claims": len(parts["claims"]),
            "cosignatures": len(cosignatures),
            "stamps": len(parts["stamp"]),
            "drawn": len(drawn),
        },
    }
    if known.sample:
        need(period and dates[-1] >= period["to"], "bundle.json", "has no period that is over: nothing to draw from")
        seed = cosignatures[0] if cosignatures else b""
        numbers = [u64(number) for number in (size, period["from"], period["to"])]
        place = lambda seq: tagged("audit sample", root, seed, *numbers, u64(seq))
        report["sample"] = sorted(sorted(manifest["promotions"], key=place)[: known.sample])
    return report


def decoded(data, member):
    try:
        return data.decode()
    except UnicodeError:
        raise Wrong(member, "is not UTF-8") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ledger-id", help="64 hexadecimal digits")
    parser.add_argument("--key", help="the log's verifier key")
    parser.add_argument("--witness", action="append", default=[], help="verifier key of a witness that must have cosigned")
    parser.add_argument("--sample", type=int, default=0, help="draw this many promotions of the bundle's period")
    parser.add_argument("bundle", nargs="+")
    known = parser.parse_args()
    ended = 0
    for path in known.bundle:
        try:
            with open(path, "rb") as file:
                found = verify(file.read(), known)
        except Wrong as wrong:
            found, ended = {"ok": False, "member": wrong.member, "what": wrong.what}, 1
        except (ValueError, IndexError, TypeError, AttributeError, struct.error) as error:
            found, ended = {"ok": False, "member": "the file", "what": f"cannot be read: {error!r}"}, 1
        print(json.dumps({"bundle": path, **found}))
    return ended


if __name__ == "__main__":
    sys.exit(main())
