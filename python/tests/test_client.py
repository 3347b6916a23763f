"""The client against a real node."""
from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import credit
import pytest
from conftest import Node

from promotion_ledger import (
    AsyncClient, Client, Conflict, InvalidPromotion, LogKey, ReceiptInvalid, Unavailable, receipt,
)


def test_a_promotion_is_recorded_once_and_its_receipt_verifies(node: Node, tmp_path) -> None:
    promotion = credit.approved(node, credit.first("PY-1", "python-once"))
    with Client(node.address, log_key=node.log_key, token=node.token) as ledger:
        recorded = ledger.promote(promotion)
        again = ledger.promote(promotion)
        assert (again.seq, again.duplicate, recorded.duplicate) == (recorded.seq, True, False)
        assert recorded.idempotency_key == promotion.key().hex()
        assert ledger.upload(promotion.evidence()) == 0, "nothing is sent twice"
    # The Rust verifier, offline, agrees.
    recorded.save(str(tmp_path / "receipt"))
    verified = node.run("verify", "--receipt", str(tmp_path / "receipt"), "--key", node.log_key)
    assert verified.returncode == 0, verified.stderr


def test_all_problems_come_at_once_with_their_paths(node: Node) -> None:
    promotion = credit.careless(credit.approved(node, credit.first("PY-2", "python-careless")))
    with Client(node.address, token=node.token) as ledger:
        with pytest.raises(InvalidPromotion) as refused:
            ledger.promote(promotion)
        checked = ledger.check(promotion)
    fields = {problem.field for problem in refused.value.problems}
    assert {"model_version.version", "explanations", "challenger_comparison.computed_on"} <= fields
    assert {problem.field for problem in checked.problems} == fields
    assert "model_version.version" in str(refused.value)


def test_other_content_under_the_same_key_is_a_conflict(node: Node) -> None:
    promotion = credit.approved(node, credit.first("PY-3", "python-conflict"))
    other = replace(promotion, explanations=[replace(promotion.explanations[0], tool_version="0.52.0")])
    with Client(node.address, token=node.token) as ledger:
        ledger.promote(promotion)
        with pytest.raises(Conflict, match="explanations"):
            ledger.promote(other)


def test_a_retrain_is_compared_with_the_current_model(node: Node) -> None:
    promotion = credit.approved(node, credit.first("PY-4", "python-retrain"))
    with Client(node.address, token=node.token) as ledger:
        before = ledger.promote(promotion)
        after = ledger.promote(credit.approved(node, credit.retrained(promotion, "PY-5")))
        assert after.seq > before.seq


def test_a_storm_of_threads_is_one_event(node: Node) -> None:
    promotion = credit.approved(node, credit.first("PY-6", "python-storm"))
    with Client(node.address, token=node.token) as ledger, ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(lambda _: ledger.promote(promotion), range(16)))
    assert len({one.seq for one in receipts}) == 1
    assert sum(not one.duplicate for one in receipts) == 1


def test_the_async_client_does_the_same(node: Node) -> None:
    promotion = credit.approved(node, credit.first("PY-7", "python-async"))

    async def story() -> None:
        async with AsyncClient(node.address, log_key=node.log_key, token=node.token) as ledger:
            assert not (await ledger.check(promotion)).problems
            receipts = await asyncio.gather(*(ledger.promote(promotion) for _ in range(8)))
            assert len({one.seq for one in receipts}) == 1
            with pytest.raises(InvalidPromotion):
                await ledger.promote(credit.careless(promotion))

    asyncio.run(story())


def test_a_receipt_of_another_ledger_is_not_believed(node: Node) -> None:
    promotion = credit.approved(node, credit.first("PY-8", "python-key"))
    with Client(node.address, token=node.token) as ledger:
        recorded = ledger.promote(promotion)
        key = ledger.log_key
    assert receipt.verify(recorded.tlog_proof, key).seq == recorded.seq
    with pytest.raises(ReceiptInvalid, match="not signed by"):
        receipt.verify(recorded.tlog_proof, LogKey("elsewhere.example", key.key_id, key.public_key))


def test_every_changed_character_of_a_receipt_is_found(node: Node) -> None:
    with Client(node.address, token=node.token) as ledger:
        recorded, key = ledger.promote(credit.approved(node, credit.first("PY-9", "python-damage"))), ledger.log_key
    text = recorded.tlog_proof
    for at in range(len(text)):
        damaged = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]
        with pytest.raises(ReceiptInvalid):
            receipt.verify(damaged, key)


def test_nobody_there_is_said_so() -> None:
    with Client("127.0.0.1:9", timeout=1) as ledger, pytest.raises(Unavailable, match="same request again"):
        ledger.promote(credit.first("PY-10", "python-nobody"))
