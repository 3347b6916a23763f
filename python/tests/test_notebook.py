"""The notebook of examples/mlflow, cell by cell, on a real node and a real MLflow; then what its README says comes next."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLE, Node, missing


def test_the_mlflow_example_records_its_first_event(node: Node, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    url = os.environ.get("MLFLOW_URL", "")
    if not url:
        missing("MLFLOW_URL is not set")
    model = f"loan-default-{os.getpid()}"
    source = (EXAMPLE.parent / "mlflow" / "first_event.py").read_text()
    cells = source.split("# %%")
    assert len(cells) > 10, "the percent format's cells"
    environment = os.environ | {
        "LEDGER": node.address, "MLFLOW_TRACKING_URI": url, "MODEL": model, "GIT_PYTHON_REFRESH": "quiet",
        "LEDGER_COMMAND": node.binary,
    }

    # The first half: registered, nobody decided anything.
    half = source.split("# ## Freeze the six fields")[0]
    ran = subprocess.run([sys.executable, "-c", half], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    lacking = node.run("walk", "--model", model, "--mlflow", url)
    assert lacking.returncode == 1 and "undocumented: 6 of six fields" in lacking.stdout, lacking.stdout + lacking.stderr

    ran = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    address = f"http://{node.address}"
    walked = node.run("walk", "--model", model, "--environment", "production", "--url", address)
    assert walked.returncode == 0 and "all six fields are frozen" in walked.stdout, walked.stdout + walked.stderr
    # The node computes a version's digest from the registry's files by itself: the same that Python froze.
    frozen = next(line for line in walked.stdout.splitlines() if "artefact sha256" in line).rsplit(" ", 1)[-1]
    again = node.run("walk", "--model", model, "--mlflow", url, "--model-version", "2")
    assert f"sha256 {frozen} as an archive" in again.stdout, again.stdout
    (receipt,) = tmp_path.glob("*.tlog-proof")
    verified = node.run("verify", "--receipt", str(receipt), "--key", node.log_key)
    assert verified.returncode == 0, verified.stderr
    checked = node.run("gate", "check", "--version", "mlflow://localhost", model, "2", "--environment", "production", "--url", address)
    assert checked.returncode == 0, checked.stdout + checked.stderr
