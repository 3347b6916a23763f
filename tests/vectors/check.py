#!/usr/bin/env python3
"""A second computation of every format, from src/event/FORMAT.md alone.

Recomputes digests, links, signatures, tree, proofs, checkpoints, receipts and sealed items from the inputs in the
JSON files beside it. Needs the packages blake3 and cryptography, and nothing of this project's code.
Prints `N passed, 0 failed`; exit code 1 on any failure.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NONE = 2**64 - 1
ZERO = bytes(32)
passed = failed = 0


def check(what, found, expected):
    """Counts one comparison."""
    global passed, failed
    if found == expected:
        passed += 1
    else:
        failed += 1
        show = lambda v: v.hex() if isinstance(v, bytes) else v
        print(f"FAILED {what}: found {show(found)}, expected {show(expected)}", file=sys.stderr)


def load(name):
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


def unhex(text):
    return bytes.fromhex(text)


# --- numbers, section 7 --------------------------------------------------------------------------------------

KINDS = """ledger_opened rules_activated key_added key_retired key_compromised issuer_listed issuer_keys
policy_activated gate_mode_set clock_reset review_sealed approved declined changes_requested review_closed delegated
condition_closed promoted rolled_back revoked retired break_glass undocumented attempt_refused evidence_finding
store_probed tainted legal_hold_set legal_hold_released key_shredded registry_finding audit_finding""".split()
OUTCOMES = "accepted duplicate refused malformed".split()
MALFORMED = "none hole framing size canonical kind version key signature".split()
REFUSED = """role conflict fork stale precondition idempotency_key genesis statement quorum admin_seq admin_act incomplete
target""".split()


def check_numbers():
    data = load("numbers")
    number = lambda names, start: [[start + i, name] for i, name in enumerate(names)]
    check("kinds", data["kinds"], number(KINDS, 1))
    check("outcomes", data["outcomes"], number(OUTCOMES, 1))
    check("reasons", data["reasons"], number(MALFORMED, 0) + number(REFUSED, 100))
    return data


# --- digests, section 4 --------------------------------------------------------------------------------------


def tag(name):
    return b"promotion-ledger v1 " + name.encode() + b"\0"


def sha256(data):
    return hashlib.sha256(data).digest()


def tagged(name, *parts):
    return sha256(tag(name) + b"".join(struct.pack(">Q", len(p)) + p for p in parts))


def record_digest(value):
    return blake3(value, derive_key_context="promotion-ledger v1 record").digest()


def link(header):
    return blake3(header, derive_key_context="promotion-ledger v1 link").digest()


def slot_parts(model, environment, region, role):
    role = role if role in range(5) else 0
    return [model.encode(), environment.encode(), region.encode(), struct.pack(">i", role)]


# --- protobuf, by hand ---------------------------------------------------------------------------------------


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def put_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(data):
    """(number, wire type, value) of each field: an int or bytes."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = data[at : at + 8], at + 8
        elif wire == 2:
            length, at = varint(data, at)
            if at + length > len(data):
                raise ValueError("truncated")
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"wire type {wire}")
        found.append((number, wire, value))
    return found


def encode(found):
    out = b""
    for number, wire, value in found:
        out += put_varint(number << 3 | wire)
        if wire == 0:
            out += put_varint(value)
        elif wire == 1:
            out += value
        else:
            out += put_varint(len(value)) + value
    return out


def get(data, number, default=b""):
    """The last value of a field."""
    return next((v for n, _, v in reversed(fields(data)) if n == number), default)


def text(data, number):
    return get(data, number).decode()


# --- content and idempotency keys, section 5 -----------------------------------------------------------------

EVIDENCE = {6: None}
PROMOTED = {
    2: {5: EVIDENCE},
    3: {3: EVIDENCE, 4: EVIDENCE},
    4: {10: {3: EVIDENCE}},
    5: {5: None, 8: None, 10: None},
    6: {2: EVIDENCE, 5: EVIDENCE},
    7: {6: EVIDENCE, 7: EVIDENCE},
    8: EVIDENCE,
    9: None,
    10: EVIDENCE,
    11: {3: EVIDENCE},
}
REVIEW = {1: PROMOTED, 3: None, 5: None, 6: None, 7: None, 8: None, 9: None}
DECISION = {4: {2: None, 5: None, 8: None, 10: None}}
ADMIN_ACT = {2: None}
ADMIN_KINDS = (2, 3, 4, 5, 6, 8, 9, 10)
CONTENT = {
    **{2: None, 3: None, 4: None, 5: None, 27: REVIEW, 28: DECISION, 29: DECISION, 30: DECISION, 33: {4: EVIDENCE}},
    **{34: PROMOTED, 38: {6: None, 9: None, 10: None}, **{16 + kind: ADMIN_ACT for kind in ADMIN_KINDS}},
}


def without(data, rules):
    """A message without the fields that map to None, all the way down."""
    kept = []
    for number, wire, value in fields(data):
        rule = rules.get(number, {})
        if rule is not None:
            kept.append((number, wire, without(value, rule) if rule and wire == 2 else value))
    return encode(kept)


def kind_and_event(body):
    return next(((n - 16, v) for n, _, v in fields(body) if n > 16), (None, b""))


def promotion_key(promoted):
    slot, model, request = get(promoted, 1), get(promoted, 2), get(promoted, 4)
    parts = slot_parts(text(slot, 1), text(slot, 2), text(slot, 3), get(slot, 4, 0))
    rest = [get(model, 1), get(model, 2), get(model, 4), get(request, 1), get(request, 2)]
    return tagged("promotion key", *parts, *rest)


def idempotency_key(body):
    kind, event = kind_and_event(body)
    if kind == 18:
        return promotion_key(event)
    if kind == 11:
        return tagged("request key", bytes([kind]), promotion_key(get(event, 1)), struct.pack(">I", get(event, 2)))
    if kind in (12, 13, 14):
        decider = get(get(get(event, 4), 1), 2)
        return tagged("request key", bytes([kind]), decider, struct.pack(">Q", get(event, 1)))
    if kind == 15:
        return tagged("request key", bytes([kind]), struct.pack(">Q", get(event, 1)), b"")
    if kind == 16:
        asks = get(event, 1) if get(event, 7, None) is None else get(event, 8)
        return tagged("request key", bytes([kind]), get(asks, 2), get(event, 6))
    if kind == 17:
        return tagged("request key", bytes([kind]), struct.pack(">Q", get(event, 2)), get(event, 3))
    if kind in (19, 20, 21):
        return tagged("request key", bytes([kind]), get(get(event, 3), 2), get(event, 4))
    if kind in ADMIN_KINDS:
        return tagged("request key", bytes([kind]), b"administrators", sha256(get(event, 1)))
    if kind == 7:
        return tagged("request key", bytes([kind]), get(event, 1), sha256(event))
    if kind == 24:
        return tagged("request key", bytes([kind]), get(event, 2), get(event, 3) + get(event, 5))
    if kind == 25:
        follows = get(event, 7, None)
        fact = struct.pack(">II", get(event, 4), get(event, 6)) + (b"" if follows is None else struct.pack(">Q", follows))
        return tagged("request key", bytes([kind]), get(event, 1), fact)
    if kind == 26:
        allowed = bytes(get(attempt, 2, 0) for number, _, attempt in fields(event) if number == 3)
        fact = struct.pack(">I", get(event, 4)) + bytes([get(event, 2, 0)]) + allowed
        return tagged("request key", bytes([kind]), get(event, 1), fact)
    if kind == 31:
        words = b"\0".join(get(event, number, b"") for number in (2, 3, 4))
        fact = struct.pack(">II", get(event, 5), get(event, 8)) + words
        return tagged("request key", bytes([kind]), get(event, 1), fact)
    if kind in (22, 23, 27, 28, 29, 30):
        actor, request = {22: (3, 12), 23: (9, 10), 27: (2, 3), 28: (3, 4), 29: (2, 3), 30: (2, 4)}[kind]
        return tagged("request key", bytes([kind]), get(get(event, actor), 2), get(event, request))
    if kind == 1:
        return tagged("request key", bytes([kind]), get(event, 8), b"")
    raise ValueError(f"kind {kind}")


# --- keys and signatures -------------------------------------------------------------------------------------


def signer(seed):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def holds(public, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except InvalidSignature:
        return False


# --- the ledger, sections 1 to 7, 11 and 12 ------------------------------------------------------------------


def header_fields(header):
    names = "version kind outcome flags reason rules record_len zero seq recorded_at refers_to".split()
    values = dict(zip(names, struct.unpack(">BBBBHHIIQQQ", header[:40])))
    digests = ("prev_link", "record_digest", "event_digest", "state_root")
    values.update({name: header[40 + 32 * i : 72 + 32 * i] for i, name in enumerate(digests)})
    return values


def check_ledger(numbers):
    data = load("ledger")
    kinds, outcomes, reasons = ({name: number for number, name in numbers[key]} for key in ("kinds", "outcomes", "reasons"))
    keys = {}
    for named in data["keys"]:
        private, public = signer(unhex(named["seed"]))
        key_id = sha256(tag("key id") + public)
        check(f"public key of the {named['name']}", public.hex(), named["public_key"])
        check(f"key id of the {named['name']}", key_id.hex(), named["key_id"])
        keys[key_id] = (private, public)
    ledger_id = unhex(data["ledger_id"])
    genesis_body = get(unhex(data["entries"][0]["value"]), 4)
    check("ledger_id", sha256(genesis_body), ledger_id)
    genesis = get(genesis_body, 17)
    admins = [v for n, _, v in fields(genesis) if n == 3]
    state = {"link": ZERO, "recorded_at": 0, "date": 0, "first": {}, "bound": {}, "admin_seq": 0, "reviews": {}, "delegations": {}, "headers": [], "links": []}
    for seq, entry in enumerate(data["entries"]):
        at = f"entry {seq} ({entry['name']})"
        value, header = unhex(entry["value"]), unhex(entry["header"])
        expected = entry["fields"]
        found = header_fields(header)
        check(f"{at}: header length", len(header), 168)
        check(f"{at}: seq", expected["seq"], seq)
        # The header, from what the file says about it.
        refers_to = NONE if expected["refers_to"] is None else expected["refers_to"]
        made = struct.pack(
            ">BBBBHHIIQQQ", 1, kinds.get(expected["kind"], 0), outcomes[expected["outcome"]], expected["flags"],
            reasons[expected["reason"]], expected["rules"], expected["record_len"], 0, seq, expected["recorded_at"], refers_to,
        )
        digests = [unhex(expected[name]) for name in ("prev_link", "record_digest", "event_digest")]
        check(f"{at}: header", made + b"".join(digests) + ZERO, header)
        # And from the record.
        check(f"{at}: prev_link", found["prev_link"], state["link"])
        check(f"{at}: record_digest", found["record_digest"], record_digest(value))
        check(f"{at}: record_len", found["record_len"], len(value))
        check(f"{at}: link", link(header).hex(), entry["link"])
        if expected["outcome"] == "malformed":
            absent = [expected["kind"], *(entry[name] for name in ("idempotency_key", "content", "content_digest"))]
            check(f"{at}: nothing was read", absent, [None] * 4)
            check(f"{at}: malformed", (found["kind"], found["event_digest"], found["refers_to"]), (0, ZERO, NONE))
            check(f"{at}: recorded_at", found["recorded_at"], state["recorded_at"])
            check_malformed(at, expected["reason"], value, keys, ledger_id)
        else:
            check_read(at, seq, entry, value, found, keys, ledger_id, admins, state)
        state["link"], state["recorded_at"] = link(header), found["recorded_at"]
        state["headers"].append(header)
        state["links"].append(state["link"])
        check(f"{at}: date", entry["date"], state["date"])
    return state["headers"]


def check_malformed(at, reason, value, keys, ledger_id):
    """That the record really is what the reason says."""
    if reason == "hole":
        check(f"{at}: no bytes", value, b"")
        return
    try:
        envelope = fields(value)
    except (ValueError, IndexError):
        envelope = None
    check(f"{at}: framing", envelope is None, reason == "framing")
    if envelope is None:
        return
    unknown = any(number > 4 for number, _, _ in envelope) or encode(envelope) != value
    check(f"{at}: canonical", unknown, reason == "canonical")
    if unknown:
        return
    body, key_id = get(value, 4), get(value, 2)
    reserved = any(17 <= n <= 48 and n not in range(17, 48) for n, _, _ in fields(body))
    check(f"{at}: kind", reserved, reason == "kind")
    if reserved:
        return
    check(f"{at}: version", get(value, 1, 0) != 1, reason == "version")
    if reason in ("version", "key"):
        return
    message = tag("record signature") + ledger_id + body
    check(f"{at}: signature", not holds(keys[key_id][1], get(value, 3), message), reason == "signature")


def check_read(at, seq, entry, value, found, keys, ledger_id, admins, state):
    expected = entry["fields"]
    key_id, signature, body = get(value, 2), get(value, 3), get(value, 4)
    check(f"{at}: envelope", encode([(1, 0, 1), (2, 2, key_id), (3, 2, signature), (4, 2, body)]), value)
    check(f"{at}: event_digest", found["event_digest"], sha256(body))
    private, public = keys[key_id]
    message = tag("record signature") + (ZERO if seq == 0 else ledger_id) + body
    check(f"{at}: signature", holds(public, signature, message), True)
    check(f"{at}: signature again", private.sign(message), signature)
    kind, event = kind_and_event(body)
    check(f"{at}: kind", kind, found["kind"])
    check(f"{at}: recorded_at", get(body, 3, 0), found["recorded_at"])
    check(f"{at}: idempotency key", idempotency_key(body), get(body, 1))
    check(f"{at}: idempotency key", get(body, 1).hex(), entry["idempotency_key"])
    content = without(body, CONTENT)
    check(f"{at}: content", content.hex(), entry["content"])
    content_digest = sha256(tag("content") + content)
    check(f"{at}: content digest", content_digest.hex(), entry["content_digest"])
    basis = get(body, 2)
    if seq > 0:
        size, basis_link = get(basis, 1), get(basis, 2)
        check(f"{at}: basis", basis_link, state["links"][size - 1])
    # Duplicates and conflicts, by the rules.
    digest, key = found["record_digest"], get(body, 1)
    bound = state["bound"].get(key)
    if digest in state["first"]:
        check(f"{at}: replay", (expected["outcome"], expected["refers_to"]), ("duplicate", state["first"][digest]))
    elif bound:
        same = bound[1] == content_digest
        want = ("duplicate", "none", bound[0]) if same else ("refused", "conflict", None)
        check(f"{at}: same key", (expected["outcome"], expected["reason"], expected["refers_to"]), want)
    else:
        check(f"{at}: new key", expected["outcome"] in ("accepted", "refused"), True)
    state["first"].setdefault(digest, seq)
    if kind in ADMIN_KINDS and digest != ZERO:
        check_admin(at, expected, event, kind, ledger_id, admins, keys, state)
    quorum = check_review(at, seq, kind, event, body, expected, ledger_id, state)
    check(f"{at}: quorum", expected["flags"], int(quorum))
    if expected["outcome"] == "accepted":
        state["bound"][key] = (seq, content_digest)
        if kind in (19, 20, 21):
            check(f"{at}: refers_to", expected["refers_to"], get(event, 2))
        elif kind in (12, 13, 14, 15, 29):
            check(f"{at}: refers_to", expected["refers_to"], get(event, 1))
        elif kind == 17:
            check(f"{at}: refers_to", expected["refers_to"], get(event, 2))
        elif kind in (16, 25):
            check(f"{at}: refers_to", expected["refers_to"], get(event, 7, None))
        else:
            check(f"{at}: refers_to", expected["refers_to"], None)
        if kind == 10:
            state["date"] = get(get(get(event, 1), 4), 2)
        else:
            state["date"] = max(state["date"], found["recorded_at"])


def check_review(at, seq, kind, event, body, expected, ledger_id, state):
    """Rules of reviews, section 12; whether this approval completes its quorum."""
    accepted = expected["outcome"] == "accepted"
    reviews = state["reviews"]
    if kind == 11 and accepted:
        request = get(get(event, 1), 4)
        involved = {get(v, 2) for n, _, v in fields(request) if n in (3, 4, 5)}
        places = [text(v, 1) for n, _, v in fields(event) if n == 5 for _ in range(get(v, 2))]
        reviews[seq] = {"digest": sha256(body), "open": True, "out": involved, "places": places, "approvals": []}
    if kind in (12, 13, 14) and expected["outcome"] in ("accepted", "refused"):
        review, statement, decider = reviews[get(event, 1)], get(event, 2), get(event, 4)
        check(f"{at}: statement", (get(statement, 1), get(statement, 2)), (ledger_id, review["digest"]))
        check(f"{at}: decision", get(statement, 3) in {12: (1, 2), 13: (4,), 14: (3,)}[kind], True)
        who = get(get(decider, 1), 2)
        delegation = get(statement, 9, None)
        acts = delegation is None or state["delegations"].get(delegation, (None, None))[1] == who
        check(f"{at}: may decide", review["open"] and who not in review["out"] and acts, accepted)
        if not accepted:
            return False
        groups = [v.decode() for n, _, v in fields(decider) if n == 3]
        review["approvals"].append((seq, sha256(body), decider, groups))
        review["open"] = kind == 12 and len(review["approvals"]) < len(review["places"])
        return kind == 12 and not review["open"]
    if kind == 15 and accepted:
        reviews[get(event, 1)]["open"] = False
    if kind == 16 and get(event, 7, None) is None and accepted:
        state["delegations"][seq] = tuple(get(get(event, n), 2) for n in (1, 2))
    elif kind == 16 and get(event, 7, None) is not None:
        ends = get(event, 7)
        check(f"{at}: may end", get(get(event, 8), 2) in state["delegations"].get(ends, ()), accepted)
        if accepted:
            del state["delegations"][ends]
    if kind == 18 and accepted and get(event, 11):
        named = get(event, 11)
        review = reviews[get(named, 1)]
        check(f"{at}: review", get(named, 2), review["digest"])
        approvals = [v for n, _, v in fields(event) if n == 5]
        check(f"{at}: approvals", len(approvals), len(review["approvals"]))
        for approval, (approved, digest, decider, _) in zip(approvals, review["approvals"]):
            check(f"{at}: decided", (get(get(approval, 13), 1), get(get(approval, 13), 2)), (approved, digest))
            check(f"{at}: approval", without(approval, {13: None}), decider)
    return False


def check_admin(at, expected, act, kind, ledger_id, admins, keys, state):
    statement = get(act, 1)
    check(f"{at}: statement", (get(statement, 1), get(statement, 2)), (ledger_id, kind))
    check(f"{at}: admin_seq", get(statement, 3), state["admin_seq"] + 1)
    message = tag("admin statement") + statement
    signers = set()
    for number, _, signed in fields(act):
        if number == 2 and get(signed, 1) in admins and holds(get(signed, 1), get(signed, 2), message):
            signers.add(get(signed, 1))
            private = next(private for private, public in keys.values() if public == get(signed, 1))
            check(f"{at}: admin signature again", private.sign(message), get(signed, 2))
    accepted = expected["outcome"] == "accepted"
    check(f"{at}: quorum", len(signers) >= 2, accepted)
    state["admin_seq"] += accepted


# --- Merkle tree, checkpoints, receipts: sections 8 to 10 -------------------------------------------------------


def leaf_hash(leaf):
    return sha256(b"\0" + leaf)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


def split(n):
    return 1 << (n - 1).bit_length() - 1


def root(leaves):
    """RFC 6962, section 2.1."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(m, leaves):
    """RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [root(leaves[k:])]
    return path(m - k, leaves[k:]) + [root(leaves[:k])]


def proof(m, leaves, whole=True):
    """RFC 6962, section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return proof(m, leaves[:k], whole) + [root(leaves[k:])]
    return proof(m - k, leaves[k:], False) + [root(leaves[:k])]


def climb(leaf, index, size, hashes):
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    fn, sn, r = index, size - 1, leaf
    for p in hashes:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else None


def climb_both(old, size, first, hashes):
    """The roots that a consistency proof leads to (RFC 9162, section 2.1.4.2), old < size."""
    hashes = list(hashes)
    if old & old - 1:
        if not hashes:
            return None
        first = hashes.pop(0)
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = first
    for c in hashes:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr) if sn == 0 else None


def check_merkle():
    data = load("merkle")

    def sound(case, names):
        return all(len(base64.b64decode(h)) == 32 for h in [case[n] for n in names] + case["proof"])

    hashes = lambda case: [base64.b64decode(h) for h in case["proof"]]
    for c in data["inclusion"]:
        index, size = c["leafIdx"], c["treeSize"]
        leaf, top = base64.b64decode(c["leafHash"]), base64.b64decode(c["root"])
        good = sound(c, ("leafHash", "root")) and index < size and climb(leaf, index, size, hashes(c)) == top
        check(f"inclusion of {index} in {size}, {c['desc']}", not good, c["wantErr"])
    for c in data["consistency"]:
        old, size = c["size1"], c["size2"]
        first, top = base64.b64decode(c["root1"]), base64.b64decode(c["root2"])
        good = sound(c, ("root1", "root2")) and 0 < old <= size
        if good and old == size:
            good = first == top and not c["proof"]
        elif good:
            good = climb_both(old, size, first, hashes(c)) == (first, top)
        check(f"consistency from {old} to {size}, {c['desc']}", not good, c["wantErr"])


def check_tree(headers):
    data = load("tree")
    leaves = [leaf_hash(header) for header in headers]
    sizes = range(1, len(leaves) + 1)
    check("sizes", all(p["size"] in sizes for p in data["inclusion"]), True)
    check("sizes", all(p["old"] in sizes and p["new"] in sizes for p in data["consistency"]), True)
    check("roots", len(data["roots"]), len(leaves) + 1)
    check("leaf hashes", [leaf.hex() for leaf in leaves], data["leaf_hashes"])
    for size, expected in enumerate(data["roots"]):
        check(f"root of size {size}", root(leaves[:size]).hex(), expected)
    for p in data["inclusion"]:
        found = path(p["index"], leaves[: p["size"]])
        at = f"inclusion of {p['index']} in {p['size']}"
        check(at, [h.hex() for h in found], p["path"])
        check(f"{at}: root", climb(leaves[p["index"]], p["index"], p["size"], found), root(leaves[: p["size"]]))
    for p in data["consistency"]:
        found = proof(p["old"], leaves[: p["new"]])
        check(f"consistency from {p['old']} to {p['new']}", [h.hex() for h in found], p["path"])
    return leaves


def check_proofs(headers, leaves):
    data = load("proofs")
    private, public = signer(unhex(data["log_seed"]))
    origin = data["origin"]
    note_id = sha256(origin.encode() + b"\n\x01" + public)[:4]
    vkey = f"{origin}+{note_id.hex()}+{base64.b64encode(bytes([1]) + public).decode()}"
    check("verifier key", vkey, data["vkey"])

    def note(size):
        head = f"{origin}\n{size}\n{base64.b64encode(root(leaves[:size])).decode()}\n"
        signature = base64.b64encode(note_id + private.sign(head.encode())).decode()
        return f"{head}\n\N{EM DASH} {origin} {signature}\n"

    for c in data["checkpoints"]:
        check(f"checkpoint of size {c['size']}: root", root(leaves[: c["size"]]).hex(), c["root"])
        check(f"checkpoint of size {c['size']}", note(c["size"]), c["note"])
    for r in data["receipts"]:
        index, size = r["index"], r["size"]
        lines = ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(headers[index]).decode()}", f"index {index}"]
        lines += [base64.b64encode(h).decode() for h in path(index, leaves[:size])]
        check(f"receipt of {index} in {size}", "\n".join(lines) + "\n\n" + note(size), r["text"])

    # Status lists, section 17.
    for s in data["status_lists"]:
        found = s["note"].split("\n")
        read = [json.loads(line) for line in found[1 : 2 + len(s["lines"])]]
        check("status list: head and lines", read, [s["head"], *s["lines"]])
        text, signed = s["note"].rsplit("\n\n", 1)
        signature = base64.b64decode(signed.split(" ")[2])
        check("status list: key id", signature[:4], note_id)
        check("status list: signature", holds(public, signature[4:], text.encode() + b"\n"), True)
        check("status list: first line", found[0], "promotion-ledger status list v1")


# --- archive, section 16 -----------------------------------------------------------------------------------------


def number_path(n):
    groups = [f"{n % 1000:03}"]
    while n >= 1000:
        n //= 1000
        groups.insert(0, f"x{n % 1000:03}")
    return "/".join(groups)


def check_archive(headers, leaves):
    data, ledger = load("archive"), load("ledger")
    values = [unhex(entry["value"]) for entry in ledger["entries"]]
    proofs = load("proofs")
    private, public = signer(unhex(proofs["log_seed"]))
    origin = proofs["origin"].encode()
    note_id = sha256(origin + b"\n\x01" + public)[:4]
    place = f"archive/{ledger['ledger_id']}/"
    expected = []

    def piece(name, stored):
        expected.append({"name": place + name, "length": len(stored), "sha256": sha256(stored).hex()})

    start = 0
    for size in data["steps"]:
        piece(f"tile/entries/000.p/{size}", b"".join(struct.pack(">H", len(h)) + h for h in headers[:size]))
        while start < size:
            length = next(n for n in (128, 64, 32, 16, 8, 4, 2, 1) if start % n == 0 and start + n <= size)
            stored = b"".join(struct.pack(">I", len(v)) + v for v in values[start : start + length])
            piece(f"records/000.p/{start}-{start + length - 1}", stored)
            start += length
        head = origin + f"\n{size}\n".encode() + base64.b64encode(root(leaves[:size])) + b"\n"
        signature = base64.b64encode(note_id + private.sign(head))
        piece(f"checkpoint/{number_path(size)}", head + "\n\N{EM DASH} ".encode() + origin + b" " + signature + b"\n")
    check("archive: pieces", data["pieces"], expected)
    paths = [place + "tile/entries/" + number_path(n) for n in (0, 999, 1_000, 1_234_067)]
    check("archive: paths", data["paths"], paths)


# --- digests, sealed items: sections 4 and 14 ------------------------------------------------------------------


def check_digests():
    data = load("digests")
    parts = lambda slot: slot_parts(slot["model"], slot["environment"], slot["region"], slot["role"])
    for s in data["slots"]:
        check(f"slot digest of {s['slot']}", tagged("slot", *parts(s["slot"])).hex(), s["digest"])
    for k in data["promotion_keys"]:
        rest = [k[name].encode() for name in ("registry_uri", "version", "request_system", "request_id")]
        found = tagged("promotion key", *parts(k["slot"]), unhex(k["artifact_sha256"]), *rest)
        check(f"promotion key of {k['version']!r}", found.hex(), k["key"])
    for k in data["request_keys"]:
        found = tagged("request key", bytes([k["kind"]]), unhex(k["principal"]), k["request_id"].encode())
        check(f"request key of kind {k['kind']}", found.hex(), k["key"])
    for d in data["decisions"]:
        statement = sha256(tag("decision statement") + unhex(d["statement"]))
        nonce = sha256(tag("decision nonce") + statement + unhex(d["salt"]))
        check("decision nonce", base64.urlsafe_b64encode(nonce).rstrip(b"=").decode(), d["nonce"])
        answers = sha256(tag("decision answers") + unhex(d["answers"]))
        check("answers digest", (answers.hex(), answers), (d["answers_digest"], get(unhex(d["statement"]), 4)))
    for e in data["emergencies"]:
        until = struct.pack(">Q", e["expires_at"])
        slot = tagged("slot", *parts(e["slot"]))
        committed = tagged("break-glass", slot, unhex(e["artifact_sha256"]), until, e["request_id"].encode())
        nonce = base64.urlsafe_b64encode(committed).rstrip(b"=").decode()
        check(f"nonce of emergency {e['request_id']!r}", nonce, e["nonce"])
    for r in data["record_digests"]:
        value = bytes(i % 251 for i in range(r["len"]))
        check(f"record digest of {r['len']} bytes", record_digest(value).hex(), r["record_digest"])


def hchacha20(key, nonce):
    """draft-irtf-cfrg-xchacha, section 2.2."""
    state = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), *struct.unpack("<4I", nonce)]

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = state[x] + state[y] & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = (mixed << turn | mixed >> 32 - turn) & 0xFFFFFFFF

    for _ in range(10):
        for at in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(*at)
        for at in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*at)
    return struct.pack("<8I", *state[:4], *state[12:])


def xchacha20poly1305(key, nonce, plaintext, associated):
    cipher = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return cipher.encrypt(bytes(4) + nonce[16:], plaintext, associated)


def check_sealed():
    data = load("sealed")
    item = {name: unhex(value) for name, value in data["item"].items()}
    issuer, subject = data["issuer"].encode(), data["subject"].encode()
    salt, key, plaintext = unhex(data["salt"]), unhex(data["key"]), unhex(data["plaintext"])
    subject_id = tagged("subject", salt, issuer, subject)
    check("subject_id", item["subject_id"], subject_id)
    check("commitment", item["commitment"], sha256(tag("commitment") + plaintext))
    associated = tag("seal") + unhex(data["ledger_id"]) + subject_id
    check("ciphertext", item["ciphertext"], xchacha20poly1305(key, item["nonce"], plaintext, associated))
    check("plaintext: issuer and subject", (get(plaintext, 2), get(plaintext, 3)), (issuer, subject))
    check("plaintext: blind", len(get(plaintext, 1)), 32)
    record = data["subject_record"]
    named = struct.pack(">Q", len(issuer)) + issuer + struct.pack(">Q", len(subject)) + subject
    check("name of the subject record", hmac.new(unhex(record["lookup_key"]), named, hashlib.sha256).hexdigest(), record["name"])
    nonce = unhex(record["record"])[:24]
    wrapped = xchacha20poly1305(unhex(record["wrap_key"]), nonce, salt + key + subject_id, tag("subject record"))
    check("subject record", (nonce + wrapped).hex(), record["record"])
    evidence = {name: unhex(value) for name, value in data["evidence"].items()}
    head = tag("sealed evidence")
    nonce = hmac.new(key, head + evidence["content"], hashlib.sha256).digest()[:24]
    box = xchacha20poly1305(key, nonce, evidence["content"], head + unhex(data["ledger_id"]) + subject_id)
    check("sealed evidence", evidence["stored"], head + subject_id + nonce + box)
    # The same item stands in the ledger.
    body = get(unhex(load("ledger")["entries"][1]["value"]), 4)
    check("the sealed item in entry 1", [get(get(body, 5), n) for n in (1, 2, 3, 4)],
          [item[name] for name in ("subject_id", "nonce", "ciphertext", "commitment")])


def main():
    headers = check_ledger(check_numbers())
    leaves = check_tree(headers)
    check_proofs(headers, leaves)
    check_merkle()
    check_archive(headers, leaves)
    check_digests()
    check_sealed()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
