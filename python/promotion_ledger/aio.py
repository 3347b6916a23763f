"""The client for programs with an event loop; the same calls as ``promotion_ledger.Client``, awaited."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TypeVar

import grpc

from . import answers
from ._wire import auditor_pb2, auditor_pb2_grpc, emitter_pb2, emitter_pb2_grpc
from .answers import Check, Receipt
from .channel import Token, calls, options, target
from .client import parts
from .errors import LedgerError
from .evidence import Evidence
from .promotion import Promotion
from .receipt import LogKey

T = TypeVar("T")


class AsyncClient:
    """Records promotions. The arguments are those of ``promotion_ledger.Client``."""

    def __init__(self, address: str, *, log_key: str | None = None, token: Token = None, timeout: float = 60.0,
                 root_certificates: bytes | None = None) -> None:
        host, secure = target(address)
        credentials = grpc.ssl_channel_credentials(root_certificates) if secure else None
        self._channel = (grpc.aio.secure_channel(host, credentials, options()) if secure
                         else grpc.aio.insecure_channel(host, options()))
        self._emitter = emitter_pb2_grpc.EmitterServiceStub(self._channel)
        self._auditor = auditor_pb2_grpc.AuditorServiceStub(self._channel)
        self._key = LogKey.parse(log_key) if log_key else None
        self._token, self._timeout = token, timeout

    async def promote(self, promotion: Promotion) -> Receipt:
        """Uploads what the ledger does not have, records the promotion, verifies the receipt."""
        await self.upload(promotion.evidence())
        request = emitter_pb2.PromoteRequest(promotion=promotion.draft())
        answer = await self._call(lambda call: self._emitter.Promote(request, **call))
        return answers.verified(answer.receipt, await self.log_key(), promotion.key())

    async def check(self, promotion: Promotion) -> Check:
        """Everything that is wrong, and what the promotion's tier would require. Sends no event."""
        await self.upload(promotion.evidence())
        request = emitter_pb2.CheckPromotionRequest(promotion=promotion.draft())
        return answers.checked(await self._call(lambda call: self._emitter.CheckPromotion(request, **call)))

    async def upload(self, pieces: list[Evidence]) -> int:
        """Sends the pieces that the ledger does not have; how many those were."""
        sent = 0
        for piece in pieces:
            stat = emitter_pb2.StatEvidenceRequest(sha256=piece.sha256)
            answer = await self._call(lambda call: self._emitter.StatEvidence(stat, **call))  # noqa: B023
            if not answer.present:
                await self._call(lambda call: self._emitter.UploadEvidence(_parts(piece), **call))  # noqa: B023
                sent += 1
        return sent

    async def log_key(self) -> LogKey:
        """The key with which receipts are verified."""
        if self._key is None:
            request = auditor_pb2.GetStatusRequest()
            status = await self._call(lambda call: self._auditor.GetStatus(request, **call))
            self._key = LogKey.parse(status.log_vkey)
        return self._key

    async def close(self) -> None:
        await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def _call(self, call: Callable[[dict[str, object]], Awaitable[T]]) -> T:
        for pause in [*answers.pauses(), None]:
            try:
                return await call(calls(self._token, self._timeout))
            except grpc.RpcError as error:
                if pause is None or error.code() not in answers.RETRYABLE:
                    raise answers.error(error) from error
                await asyncio.sleep(pause)
        raise LedgerError("no attempt was made")


async def _parts(piece: Evidence) -> AsyncIterator[emitter_pb2.UploadEvidenceRequest]:
    for part in parts(piece):
        yield part
