"""What can go wrong, by what a caller does next."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request."""

    #: Path of the field, for instance ``explanations[0].content.sha256``.
    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field} {self.description}"


class LedgerError(Exception):
    """Anything that the ledger, or the way to it, answered."""


class InvalidPromotion(LedgerError):
    """Mend the request: every problem at once, each with its field's path. Nothing was written."""

    def __init__(self, message: str, problems: list[Problem]) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]))
        self.problems = problems


class Conflict(LedgerError):
    """Another event already holds this promotion's key, with other content. Final."""


class Refused(LedgerError):
    """The ledger's state, or the caller's rights, do not allow it. Final for this request."""


class Unavailable(LedgerError):
    """Not answered, or not yet. The same request may be sent again: it becomes exactly one event."""


class ReceiptInvalid(LedgerError):
    """The node answered, but its receipt does not prove what it says. Do not deploy; tell the auditors."""
