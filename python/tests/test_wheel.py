"""The built wheel: the whole client with its types, and nothing needed but grpcio and protobuf."""
from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT, missing

import promotion_ledger

#: Imports the client where every module of other packages is refused, and freezes something with it.
ALONE = """
import sys

class Refusing:
    known = {*sys.stdlib_module_names, "promotion_ledger", "grpc", "google", "typing_extensions"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.known:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refusing())
from promotion_ledger import AsyncClient, Client, Evidence
from promotion_ledger.freeze import dataset, explanation, metrics, mlflow_model, report
definition = Evidence.of_bytes(b"select", "text/plain")
print(dataset.file(sys.argv[1], snapshot_id="x@1", definition=definition).digest.hex())
"""


@pytest.fixture(scope="module")
def wheel() -> metadata.Distribution:
    try:
        return metadata.distribution("promotion-ledger")
    except metadata.PackageNotFoundError:
        missing("the wheel is not installed")
        raise


def test_the_wheel_holds_the_whole_client_and_its_types(wheel: metadata.Distribution) -> None:
    installed = Path(str(wheel.locate_file("promotion_ledger/__init__.py"))).resolve()
    assert Path(promotion_ledger.__file__ or "").resolve() == installed, "these tests run on another copy than the wheel's"
    held = {str(file) for file in wheel.files or []}
    source = ROOT / "python"
    ours = {file.relative_to(source).as_posix() for file in (source / "promotion_ledger").rglob("*")
            if file.suffix in {".py", ".pyi", ".typed"}}
    assert {"promotion_ledger/py.typed", "promotion_ledger/aio.py", "promotion_ledger/freeze/dataset.py"} <= ours <= held
    for service in ("emitter", "auditor"):
        assert {f"promotion_ledger/_wire/{service}_pb2.pyi", f"promotion_ledger/_wire/{service}_pb2_grpc.py"} <= held
    assert all(file.startswith(("promotion_ledger/", "promotion_ledger-")) for file in held), held


def test_it_needs_grpcio_and_protobuf_alone(wheel: metadata.Distribution, tmp_path: Path) -> None:
    needed = {re.split(r"[^\w-]", text)[0] for text in wheel.requires or [] if "extra ==" not in text}
    assert needed == {"grpcio", "protobuf"}
    (tmp_path / "rows.csv").write_text("id\n1\n")
    ran = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path / "rows.csv")], cwd=tmp_path, capture_output=True, text=True,
                         timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.strip()) == 64
