"""What is done on the control node is done as whoever runs Ansible, whatever hosts are set to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from lab.paths import ROOT
from tests.support.plays import play, tasks_in

if TYPE_CHECKING:
    from pathlib import Path

FILES = [
    path
    for folder in ("roles", "playbooks")
    for path in sorted((ROOT / folder).rglob("*.yml"))
    if "tasks:" in path.read_text() or path.parent.name == "tasks"
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_task_for_the_control_node_overrules_the_inventory(path: Path) -> None:
    for task in tasks_in(yaml.safe_load(path.read_text())):
        if task.get("delegate_to") == "localhost":
            given = task.get("vars", {})
            assert given.get("ansible_connection") == "local", task["name"]
            assert given.get("ansible_become") is False, task["name"]
            assert "ansible_playbook_python" in given["ansible_python_interpreter"], task["name"]


def test_that_is_what_it_takes(tmp_path: Path) -> None:
    theirs = {
        "ansible_become": True,
        "ansible_become_user": "no-such-user",
        "ansible_connection": "ssh",
        "ansible_python_interpreter": "/no/such/python",
    }
    fleet = {"all": {"vars": theirs, "hosts": {"mini": {}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(fleet))
    (task,) = (
        task
        for task in tasks_in(
            yaml.safe_load((ROOT / "roles/bus_watcher/tasks/build.yml").read_text())
        )
        if task.get("delegate_to") == "localhost"
    )
    asked = {
        "ansible.builtin.command": "id -u",
        **{key: task[key] for key in ("delegate_to", "vars", "run_once")},
    }
    done = play([asked], tmp_path, hosts="all", inventory=[str(tmp_path / "hosts.yml")])
    assert done.returncode == 0, done.stdout + done.stderr
