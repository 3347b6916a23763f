"""The client for programs without an event loop. ``promotion_ledger.aio`` is its twin with one."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

import grpc

from . import answers
from ._wire import auditor_pb2, auditor_pb2_grpc, emitter_pb2, emitter_pb2_grpc
from .answers import Check, Receipt
from .channel import Token, calls, options, target
from .errors import LedgerError
from .evidence import Evidence
from .promotion import Promotion
from .receipt import LogKey

T = TypeVar("T")


class Client:
    """Records promotions.

    ``address``: ``host:port``, ``http://host:port`` or ``https://host:port``. ``log_key``: the ledger's public key, with
    which every receipt is verified; without it the node is asked for its own once, which trusts the node. ``token``: a
    bearer token, or a function that gives one. ``timeout``: seconds for each attempt.
    """

    def __init__(self, address: str, *, log_key: str | None = None, token: Token = None, timeout: float = 60.0,
                 root_certificates: bytes | None = None) -> None:
        host, secure = target(address)
        credentials = grpc.ssl_channel_credentials(root_certificates) if secure else None
        self._channel = (grpc.secure_channel(host, credentials, options()) if secure
                         else grpc.insecure_channel(host, options()))
        self._emitter = emitter_pb2_grpc.EmitterServiceStub(self._channel)
        self._auditor = auditor_pb2_grpc.AuditorServiceStub(self._channel)
        self._key = LogKey.parse(log_key) if log_key else None
        self._token, self._timeout = token, timeout

    def promote(self, promotion: Promotion) -> Receipt:
        """Uploads what the ledger does not have, records the promotion, verifies the receipt.

        Safe to call again after any error: the same promotion becomes exactly one event.
        """
        self.upload(promotion.evidence())
        request = emitter_pb2.PromoteRequest(promotion=promotion.draft())
        answer = self._call(lambda call: self._emitter.Promote(request, **call))
        return answers.verified(answer.receipt, self.log_key, promotion.key())

    def check(self, promotion: Promotion) -> Check:
        """Everything that is wrong, and what the promotion's tier would require. Sends no event."""
        self.upload(promotion.evidence())
        request = emitter_pb2.CheckPromotionRequest(promotion=promotion.draft())
        return answers.checked(self._call(lambda call: self._emitter.CheckPromotion(request, **call)))

    def upload(self, pieces: list[Evidence]) -> int:
        """Sends the pieces that the ledger does not have; how many those were."""
        sent = 0
        for piece in pieces:
            stat = emitter_pb2.StatEvidenceRequest(sha256=piece.sha256)
            if not self._call(lambda call: self._emitter.StatEvidence(stat, **call)).present:  # noqa: B023
                self._call(lambda call: self._emitter.UploadEvidence(parts(piece), **call))  # noqa: B023
                sent += 1
        return sent

    @property
    def log_key(self) -> LogKey:
        """The key with which receipts are verified."""
        if self._key is None:
            request = auditor_pb2.GetStatusRequest()
            self._key = LogKey.parse(self._call(lambda call: self._auditor.GetStatus(request, **call)).log_vkey)
        return self._key

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _call(self, call: Callable[[dict[str, object]], T]) -> T:
        for pause in [*answers.pauses(), None]:
            try:
                return call(calls(self._token, self._timeout))
            except grpc.RpcError as error:
                if pause is None or error.code() not in answers.RETRYABLE:
                    raise answers.error(error) from error
                time.sleep(pause)
        raise LedgerError("no attempt was made")


def parts(piece: Evidence) -> Iterator[emitter_pb2.UploadEvidenceRequest]:
    """The messages of an upload: what it is, then its bytes."""
    yield emitter_pb2.UploadEvidenceRequest(description=emitter_pb2.EvidenceDescription(
        sha256=piece.sha256, length=piece.length, media_type=piece.media_type))
    for chunk in piece.chunks():
        yield emitter_pb2.UploadEvidenceRequest(chunk=chunk)
