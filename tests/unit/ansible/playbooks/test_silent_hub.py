"""What the operator is told when the hub does not answer: what it is, not what it may be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lab.paths import ROOT
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

RUNS = {"installed": True, "bind": "0.0.0.0:8091", "tls": False, "state": "active", "words": "x"}


def told(folder: Path, found: dict[str, Any] | None, **variables: Any) -> str:
    """Return the message after the hub was looked at, with these variables of the inventory."""
    shutil.copytree(ROOT / "roles" / "fleet", folder / "fleet")
    task = task_of("roles/fleet/tasks/roster.yml", "Stop if the hub did not take the roster")
    (folder / "fleet" / "tasks" / "main.yml").write_text(json.dumps([task]))
    (folder / "hosts").write_text("[hub]\nlocalhost\n[nodes]\nlocalhost\n")
    looked = {"stdout": json.dumps(found)} if found else {"stdout": "", "msg": "no sudo"}
    refused = {"status": -1, "msg": "Connection refused"}
    done = play(
        [{"ansible.builtin.import_role": {"name": "fleet"}}],
        folder,
        inventory=[str(folder / "hosts")],
        roles=folder,
        variables={"fleet_roster": refused, "fleet_looked": looked, **variables},
    )
    assert done.returncode != 0
    return " ".join(done.stdout.split())


def test_a_change_that_was_not_rolled_out_is_told_with_both_sides(tmp_path: Path) -> None:
    said = told(tmp_path, RUNS, message_bus_bind="192.0.2.20")
    assert "rolled out to listen on 0.0.0.0:8091 without TLS" in said
    assert "the inventory now says 192.0.2.20:8091 without TLS" in said
    assert "--limit localhost" in said
    assert "never rolled out" not in said


def test_tls_that_was_not_rolled_out_is_told(tmp_path: Path) -> None:
    said = told(tmp_path, {**RUNS, "tls": True, "bind": "[::]:8091"}, message_bus_bind="::")
    assert "listen on [::]:8091 with TLS, and the inventory now says [::]:8091 without TLS" in said


def test_a_hub_that_is_not_there_is_told_to_be_rolled_out(tmp_path: Path) -> None:
    said = told(tmp_path, {"installed": False, "bind": "", "tls": False, "state": "inactive"})
    assert "It was never rolled out; begin with it: --limit localhost" in said


def test_a_hub_that_is_down_is_told_with_its_last_words(tmp_path: Path) -> None:
    said = told(tmp_path, {**RUNS, "state": "failed", "words": "no space left on device"})
    assert "agent-bus.service is failed there. Its last words: no space left on device" in said


def test_a_hub_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    assert "It could not be looked at, either: no sudo" in told(tmp_path, None)


def test_looking_needs_nothing_of_the_hub() -> None:
    program = ROOT / "roles" / "fleet" / "files" / "look_at_hub.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program)], capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == set(RUNS)


@pytest.mark.parametrize("playbook", ["status", "verify"])
def test_the_playbooks_tell_it_as_well(playbook: str) -> None:
    text = (ROOT / "playbooks" / f"{playbook}.yml").read_text()
    assert "tasks_from: why_silent" in text
    assert "fleet_looked | why_silent(hub)" in text
