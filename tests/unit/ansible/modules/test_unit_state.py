from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.module import answer_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("both_ways")

SYSTEMCTL = """#!/bin/sh
[ "$1" = show ] || echo "$*" >>"$0.calls"
[ "$1" != show ] || printf 'ActiveState=%s\\nUnitFileState=%s\\n' "$ACTIVE" "$ENABLED"
[ "$1" != "$REFUSED" ] || { echo "Job failed." >&2; exit 1; }
"""


@pytest.fixture
def systemd(tmp_path: Path) -> Any:
    """Give a function that runs the module beside a systemctl; returns its answer and calls."""
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)

    def run(
        active: str, at_boot: str, *, refused: str = "", check: bool = False, **wanted: Any
    ) -> tuple[dict[str, Any], list[str]]:
        env = {"ACTIVE": active, "ENABLED": at_boot, "REFUSED": refused}
        path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
        given = {"name": "bus.service", "_ansible_check_mode": check, **wanted}
        answer = answer_of("unit_state", given, env={**env, **path})
        calls = tmp_path / "systemctl.calls"
        return answer, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_what_runs_and_is_enabled_is_left_alone(systemd: Any) -> None:
    answer, calls = systemd("active", "enabled", state="started", enabled=True)
    assert not answer["changed"]
    assert calls == []


def test_what_is_missing_is_done(systemd: Any) -> None:
    answer, calls = systemd("failed", "disabled", state="started", enabled=True)
    assert answer["changed"]
    assert calls == ["enable bus.service", "start bus.service"]


def test_a_restart_reads_the_units_first(systemd: Any) -> None:
    answer, calls = systemd("active", "enabled", state="restarted", daemon_reload=True)
    assert answer["changed"]
    assert calls == ["daemon-reload", "restart bus.service"]


def test_check_mode_only_says_it(systemd: Any) -> None:
    answer, calls = systemd(
        "inactive", "enabled", state="restarted", daemon_reload=True, check=True
    )
    assert answer["changed"]
    assert calls == []


def test_a_refusal_has_systemd_s_words(systemd: Any) -> None:
    answer, _ = systemd("inactive", "enabled", state="started", refused="start")
    assert answer["failed"]
    assert answer["msg"] == "systemd cannot start bus.service: Job failed."
