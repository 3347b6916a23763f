"""A real node for each test run: the built binary (LEDGER_UNDER_TEST), a directory of its own, stopped at the end."""
from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = pathlib.Path(os.environ.get("CREDIT_EXAMPLE", ROOT / "examples" / "credit"))


def missing(what: str) -> None:
    """Skips loudly, or fails where every service is required."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"{what}, but REQUIRE_SERVICES=1")
    pytest.skip(f"SKIPPED: {what}")


@dataclass
class Node:
    address: str
    log_key: str
    binary: str
    directory: pathlib.Path

    def token(self) -> str:
        """An access token of the node's development issuer."""
        return self.made("--as", "pipeline", "--role", "emitter", "--role", "auditor")

    def login(self, subject: str, name: str, nonce: str, groups: list[str]) -> str:
        """A login just now, for one decision."""
        return self.made("--as", subject, "--name", name, "--login", "--nonce", nonce, *[f"--group={group}" for group in groups])

    def made(self, *args: str) -> str:
        made = self.run("token", "--dir", str(self.directory), *args)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.binary, *args], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    binary = os.environ.get("LEDGER_UNDER_TEST", "")
    if not binary:
        missing("LEDGER_UNDER_TEST is not set")
    directory = tmp_path_factory.mktemp("ledger") / "ledger"
    # Where the node notes its development issuer for commands of this user.
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    subprocess.run([binary, "init", "--dir", directory, "--name", "localhost/python"], check=True, capture_output=True)
    serve = [binary, "serve", "--dir", directory, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--format", "json"]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        address = json.loads(process.stdout.readline())["listening"]
        status = subprocess.run([binary, "status", "--url", f"http://{address}", "--format", "json"],
                                check=True, capture_output=True, text=True, timeout=30)
        yield Node(address, json.loads(status.stdout)["log_vkey"], binary, directory)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
