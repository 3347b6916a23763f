"""promotion-ledger: freeze the six fields of a model promotion, record them, keep a receipt that verifies offline.

    from promotion_ledger import Client
    with Client("127.0.0.1:7420", log_key=KEY, token=TOKEN) as ledger:
        receipt = ledger.promote(promotion)

``promotion_ledger.freeze`` makes the six fields from what a pipeline has.
"""
from .aio import AsyncClient
from .answers import Check, Receipt
from .client import Client
from .errors import Conflict, InvalidPromotion, LedgerError, Problem, ReceiptInvalid, Refused, Unavailable
from .evidence import Evidence
from .promotion import (
    Approval, ApprovalRequest, BandCheck, Comparator, Comparison, Dataset, Explanation, Form, ModelVersion, Person,
    Promotion, Question, Slot,
)
from .receipt import Header, LogKey, verify

__all__ = [
    "Approval", "ApprovalRequest", "AsyncClient", "BandCheck", "Check", "Client", "Comparator", "Comparison", "Conflict",
    "Dataset", "Evidence", "Explanation", "Form", "Header", "InvalidPromotion", "LedgerError", "LogKey", "ModelVersion",
    "Person", "Problem", "Promotion", "Question", "Receipt", "ReceiptInvalid", "Refused", "Slot", "Unavailable", "verify",
]
