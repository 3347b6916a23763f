"""What the ledger answers: receipts that are believed only when they verify, errors by what to do next. Pure."""
from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from . import receipt
from ._wire import emitter_pb2
from .errors import Conflict, InvalidPromotion, LedgerError, Problem, ReceiptInvalid, Refused, Unavailable

#: Sent again after these: it stays one event.
RETRYABLE = frozenset({
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED,
})
_ATTEMPTS = 6


@dataclass(frozen=True)
class Receipt:
    """Proof that an event stands in the ledger; it verifies offline with the log key alone. Keep ``tlog_proof``."""

    seq: int
    #: SHA-256 of the event, hex: what a registry points to.
    event_digest: str
    idempotency_key: str
    tlog_proof: str
    #: Microseconds since the Unix epoch.
    recorded_at: int
    #: True when the event was there already: this call wrote nothing.
    duplicate: bool

    def save(self, path: str) -> None:
        """Writes the C2SP tlog-proof, which ``promotion-ledger verify --receipt`` reads."""
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(self.tlog_proof)


@dataclass(frozen=True)
class Check:
    """What a dry run found. Nothing was written."""

    problems: list[Problem]
    #: The tier that the promotion would be routed to, and what it requires, in words.
    tier: str
    requirements: list[str]
    #: seq of the event that already holds this promotion's key.
    recorded_as: int | None


def pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt: doubling, and random, so that many callers come back apart."""
    for attempt in range(_ATTEMPTS - 1):
        pause = min(0.1 * 2**attempt, 5.0)
        yield pause / 2 + random.random() * pause / 2


def verified(answer: emitter_pb2.Receipt, key: receipt.LogKey, promotion_key: bytes | None = None) -> Receipt:
    """A receipt that holds: signature, inclusion, and that it is about what was asked."""
    header = receipt.verify(answer.tlog_proof, key)
    if header.seq != answer.seq or header.event_digest != answer.event_digest:
        raise ReceiptInvalid(f"it proves entry {header.seq}, but the node named entry {answer.seq}")
    if header.outcome != "accepted":
        raise ReceiptInvalid(f"entry {header.seq} is {header.outcome}")
    if promotion_key is not None and answer.idempotency_key != promotion_key:
        raise ReceiptInvalid("it is for another promotion than the one that was sent")
    return Receipt(
        seq=answer.seq, event_digest=answer.event_digest.hex(), idempotency_key=answer.idempotency_key.hex(),
        tlog_proof=answer.tlog_proof, recorded_at=header.recorded_at, duplicate=answer.duplicate,
    )


def checked(answer: emitter_pb2.CheckPromotionResponse) -> Check:
    """A dry run's answer."""
    return Check(
        problems=[Problem(one.field, one.description) for one in answer.problems],
        tier=answer.tier, requirements=list(answer.requirements),
        recorded_as=answer.recorded_as if answer.HasField("recorded_as") else None,
    )


def _details() -> type:
    # google.rpc.Status and BadRequest, by field number: googleapis-common-protos is not needed, and not disturbed.
    file = descriptor_pb2.FileDescriptorProto(name="promotion_ledger/details.proto", package="promotion_ledger.details",
                                              syntax="proto3")

    def message(name: str, *fields: tuple[str, int, str]) -> None:
        added = file.message_type.add(name=name)
        for field, number, kind in fields:
            one = added.field.add(name=field, number=number, label=3 if kind.startswith("*") else 1)
            kind = kind.lstrip("*")
            one.type = {"string": 9, "bytes": 12, "int32": 5}.get(kind, 11)
            if one.type == 11:
                one.type_name = f".promotion_ledger.details.{kind}"

    message("Any", ("type_url", 1, "string"), ("value", 2, "bytes"))
    message("Status", ("code", 1, "int32"), ("message", 2, "string"), ("details", 3, "*Any"))
    message("Violation", ("field", 1, "string"), ("description", 2, "string"))
    message("BadRequest", ("field_violations", 1, "*Violation"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)

    class Messages:
        Status = message_factory.GetMessageClass(pool.FindMessageTypeByName("promotion_ledger.details.Status"))
        BadRequest = message_factory.GetMessageClass(pool.FindMessageTypeByName("promotion_ledger.details.BadRequest"))

    return Messages


_DETAILS = _details()


def problems(error: grpc.RpcError) -> list[Problem]:
    """The field violations of an answer, all of them; empty where it has none."""
    found: list[Problem] = []
    for name, value in error.trailing_metadata() or ():
        if name != "grpc-status-details-bin":
            continue
        try:
            status = _DETAILS.Status.FromString(value)  # type: ignore[attr-defined]
            for detail in status.details:
                if detail.type_url.endswith("/google.rpc.BadRequest"):
                    bad = _DETAILS.BadRequest.FromString(detail.value)  # type: ignore[attr-defined]
                    found += [Problem(one.field, one.description) for one in bad.field_violations]
        except DecodeError:
            # The words of the status itself still say what is wrong.
            continue
    return found


def error(status: grpc.RpcError) -> LedgerError:
    """The exception for an answer that is no success."""
    code, words = status.code(), status.details() or ""
    if code in RETRYABLE:
        return Unavailable(f"{words} (send the same request again; it becomes exactly one event)")
    if code is grpc.StatusCode.ALREADY_EXISTS:
        return Conflict(words)
    found = problems(status)
    if code is grpc.StatusCode.INVALID_ARGUMENT or found:
        return InvalidPromotion(words, found)
    if code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED,
                grpc.StatusCode.UNAUTHENTICATED):
        return Refused(words)
    return LedgerError(f"{code.name}: {words}")
