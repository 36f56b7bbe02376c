"""What the operator is told when the hub does not answer: what it is, not what it may be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from lab.paths import ROOT, tool
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

RUNS = {"installed": True, "bind": "0.0.0.0:8091", "tls": False, "state": "active", "words": "x"}


def test_a_change_that_was_not_rolled_out_is_told_with_both_sides(tmp_path: Path) -> None:
    """What else it can say is in test_failures.py."""
    shutil.copytree(ROOT / "roles" / "fleet", tmp_path / "fleet")
    task = task_of("roles/fleet/tasks/roster.yml", "Stop if the hub did not take the roster")
    (tmp_path / "fleet" / "tasks" / "main.yml").write_text(json.dumps([task]))
    (tmp_path / "hosts").write_text("[hub]\nlocalhost\n[nodes]\nlocalhost\n")
    known = {
        "fleet_roster": {"status": -1, "msg": "Connection refused"},
        "fleet_looked": {"stdout": json.dumps(RUNS)},
        "message_bus_bind": "192.0.2.20",
    }
    done = play(
        [{"ansible.builtin.import_role": {"name": "fleet"}}],
        tmp_path,
        inventory=[str(tmp_path / "hosts")],
        roles=tmp_path,
        variables=known,
    )
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "rolled out to listen on 0.0.0.0:8091 without TLS" in said
    assert "the inventory now says 192.0.2.20:8091 without TLS" in said
    assert "--limit localhost" in said
    assert "never rolled out" not in said


def test_looking_needs_nothing_of_the_hub() -> None:
    program = ROOT / "roles" / "fleet" / "files" / "look_at_hub.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program)], capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == set(RUNS)


@pytest.mark.parametrize("playbook", ["status", "verify"])
def test_the_playbooks_tell_it_as_well(playbook: str, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "admin.token").write_text("none that counts\n")
    hub = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "agent_bus_secrets_dir": str(secrets),
        "message_bus_port": 9,  # where nothing answers
    }
    fleet = {"hub": {"hosts": {"box": hub}}, "nodes": {"hosts": {"box": {"agents": ["ada"]}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(fleet))
    done = subprocess.run(
        [
            tool("ansible-playbook"),
            "-i",
            str(tmp_path / "hosts.yml"),
            str(ROOT / "playbooks" / f"{playbook}.yml"),
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "The hub box does not answer" in said
    # whoever runs this may not be allowed to become root
    assert "It was never rolled out" in said or "It could not be looked at, either" in said
