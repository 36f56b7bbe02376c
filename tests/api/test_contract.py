"""The server against its own OpenAPI document: generated requests, good and bad, all checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub import ADMIN, running
from tests.support.patience import patience

LIMITS = {
    "sends_per_s": 1e6,
    "send_burst": 1_000_000,
    "auth_failures_per_min": 1_000_000,
    "body_limit_bytes": 16_777_216,
}
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.parametrize(
    ("token", "phases"), [(ADMIN, "coverage,fuzzing"), ("token-n2", "fuzzing")]
)
def test_every_answer_is_as_described(tmp_path: Path, token: str, phases: str) -> None:
    with running(tmp_path, **LIMITS) as hub:
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run",
                f"http://127.0.0.1:{hub.port}/api/openapi.json",
                "--header", f"Authorization: Bearer {token}", "--phases", phases,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=patience(300),  # it needs 12 s of CPU
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
