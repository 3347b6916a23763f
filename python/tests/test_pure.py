"""What needs no server: signatures, digests, frozen data."""
from __future__ import annotations

import builtins
import io
import os
import random
import sqlite3
import tarfile
from datetime import datetime

import pytest

from promotion_ledger import ed25519
from promotion_ledger.freeze import dataset, metrics, mlflow_model, report
from promotion_ledger.promotion import micros

#: RFC 8032 section 7.1: secret key not needed; public key, message, signature.
VECTORS = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
]


@pytest.fixture(params=["native", "python"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of verifying: with the package cryptography, and without it."""
    if request.param == "python":
        real = builtins.__import__

        def without(name: str, *args: object, **kwargs: object) -> object:
            if name.startswith("cryptography"):
                raise ImportError(name)
            return real(name, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_signatures_of_the_rfc_hold_and_damaged_ones_do_not(implementation: None, key: str, message: str, signature: str) -> None:
    public, text, signed = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519.verify(public, text, signed)
    assert not ed25519.verify(public, text + b"x", signed)
    seed = random.randrange(2**32)
    chosen = random.Random(seed)
    for _ in range(20):
        at, bit = chosen.randrange(64), 1 << chosen.randrange(8)
        damaged = signed[:at] + bytes([signed[at] ^ bit]) + signed[at + 1:]
        assert not ed25519.verify(public, text, damaged), f"byte {at} bit {bit} (seed {seed})"


def test_strict_verification_refuses_what_lenient_ones_take(implementation: None) -> None:
    public, _, signature = VECTORS[0]
    signed = bytes.fromhex(signature)
    order = 2**252 + 27742317777372353535851937790883648493
    larger = (int.from_bytes(signed[32:], "little") + order).to_bytes(32, "little")
    assert not ed25519.verify(bytes.fromhex(public), b"", signed[:32] + larger), "s is not reduced"
    neutral = (1).to_bytes(32, "little")
    assert not ed25519.verify(neutral, b"any", neutral + bytes(32)), "a key of small order signs everything"
    assert not ed25519.verify(bytes.fromhex(public)[:31], b"", signed)


def test_a_model_directory_has_one_digest_whatever_the_order_and_the_registry(tmp_path) -> None:
    names = ["MLmodel", "model.pkl", "code/features.py", "conda.yaml"]
    digests = set()
    for n, order in enumerate((names, names[::-1])):
        root = tmp_path / str(n)
        for name in order:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
        if n:
            (root / "registered_model_meta").write_text("model_name: m\nmodel_version: 3\n")
            os.utime(root / "MLmodel", (1, 1))
            (root / "MLmodel").chmod(0o600)
        digests.add(mlflow_model.directory(root).sha256)
    assert len(digests) == 1
    with tarfile.open(fileobj=io.BytesIO(mlflow_model.directory(root).read())) as archive:
        assert archive.getnames() == sorted(names)
    (root / "conda.yaml").write_text("other")
    assert mlflow_model.directory(root).sha256 not in digests
    (root / "link").symlink_to("MLmodel")
    with pytest.raises(ValueError, match="links"):
        mlflow_model.directory(root)


def test_a_slice_of_a_warehouse_needs_an_order(tmp_path) -> None:
    database = sqlite3.connect(":memory:")
    database.executescript("create table loans (id integer, label integer); insert into loans values (2, 0), (1, 1);")
    frozen = dataset.query(database, "select id, label from loans order by id", snapshot_id="loans@1")
    assert frozen.copy is not None and frozen.copy.read() == b"id,label\n1,1\n2,0\n"
    assert frozen.definition.read() == b"select id, label from loans order by id\n"
    with pytest.raises(ValueError, match="ORDER BY"):
        dataset.query(database, "select id, label from loans", snapshot_id="loans@1")


def test_a_manifest_names_content(tmp_path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"a")
    (tmp_path / "definition.sql").write_text("select 1")
    files = {"a.parquet": tmp_path / "a.parquet"}

    def freeze() -> dataset.Dataset:
        return dataset.manifest(files, {"format": "delta"}, kind="delta", snapshot_id="t@3",
                                definition=tmp_path / "definition.sql")

    first = freeze()
    assert (first.strength, first.digest) == ("manifest", freeze().digest)
    (tmp_path / "a.parquet").write_bytes(b"b")
    assert freeze().digest != first.digest
    with pytest.raises(ValueError, match="not on this machine"):
        dataset.local("s3://bucket/a.parquet")


def test_a_frame_has_the_digest_of_its_values() -> None:
    pandas = pytest.importorskip("pandas")
    definition = dataset.Evidence.of_bytes(b"select", "text/plain")
    frame = pandas.DataFrame({"id": [1, 2], "score": [0.1 + 0.2, 1e-17]})
    frozen = dataset.frame(frame, snapshot_id="x@1", definition=definition)
    assert frozen.copy is not None and frozen.copy.read() == b"id,score\n1,0.30000000000000004\n2,1e-17\n"
    assert dataset.frame(frame.copy(), snapshot_id="x@1", definition=definition).digest == frozen.digest


def test_measures_by_segment_and_the_band() -> None:
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("sklearn")
    chosen = numpy.random.default_rng(7)
    scores = chosen.uniform(0.02, 0.98, 4_000)
    labels = (chosen.uniform(size=4_000) < scores).astype(int)
    bands = numpy.where(chosen.uniform(size=4_000) < 0.002, "rare", "usual")
    found = metrics.by_segment(labels, scores, 0.5, {"band": bands})
    overall = found["overall"]
    # Labels were drawn from the scores: calibrated but for chance.
    assert abs(overall["calibration_slope"] - 1) < 0.15 and abs(overall["calibration_intercept"]) < 0.15
    assert overall["ece"] < 0.03 and 0.75 < overall["auc"] < 0.9
    assert found["band:rare"]["auc"] is None, "a handful of cases says nothing about rank"
    checks = metrics.band_checks(found, found, {("auc", "overall"): 0.0})
    assert checks[0].within
    with pytest.raises(ValueError, match="never 'unchanged'"):
        metrics.band_checks(found, found, {("auc", "band:rare"): 0.1})
    with pytest.raises(ValueError, match="0 or 1"):
        metrics.measure([0, 2], [0.1, 0.2], 0.5)


def test_a_comparison_page_is_self_contained_and_escaped() -> None:
    ours: dict[str, dict[str, float | None]] = {"overall": {"auc": 0.81, "brier": 0.15, "ece": None, "rows": 10.0}}
    theirs: dict[str, dict[str, float | None]] = {"overall": {"auc": 0.80, "brier": 0.14, "ece": 0.1, "rows": 10.0}}
    page = report.comparison("v2 <b>against</b> v1", "v2", "v1", ours, theirs, {"v2": [(5, 0.1, 0.2), (5, 0.3, 0.3)]})
    text = page.read().decode()
    assert page.media_type == "text/html"
    assert "&lt;b&gt;against&lt;/b&gt;" in text and "<script" not in text and "http" not in text.replace("http-equiv", "")
    assert '<span class="better">better</span>' in text and '<span class="worse">worse</span>' in text


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        micros(datetime(2026, 11, 14))
