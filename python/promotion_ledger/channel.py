"""What both clients need of a connection. Pure."""
from __future__ import annotations

from collections.abc import Callable

#: A bearer token, a function that gives a fresh one, or none.
Token = str | Callable[[], str] | None


def target(address: str) -> tuple[str, bool]:
    """Host and port, and whether the connection is encrypted."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address, False
    if scheme not in ("http", "https"):
        raise ValueError(f"{address}: the ledger is reached at http://host:port or https://host:port")
    return rest.rstrip("/"), scheme == "https"


def options() -> list[tuple[str, int]]:
    """Of the channel: the client's own attempts replace gRPC's."""
    return [("grpc.enable_retries", 0), ("grpc.keepalive_time_ms", 60_000)]


def calls(token: Token, timeout: float) -> dict[str, object]:
    """Deadline and credentials of one call."""
    value = token() if callable(token) else token
    metadata = (("authorization", f"Bearer {value}"),) if value else ()
    return {"timeout": timeout, "metadata": metadata}
