"""A fleet whose hub and nodes stand in two inventories, and the folder of its tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.paths import ROOT
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

ROLES = ("preflight", "fleet", "message_bus", "openclaw_bus", "bus_watcher")
WORDS = [*(f"{role}_secrets_dir" for role in ROLES), "hub.secrets"]
FILES = [
    *(ROOT / "roles" / role / "defaults/main.yml" for role in ROLES),
    ROOT / "roles/preflight/vars/main.yml",
    ROOT / "playbooks/vars/hub.yml",
]


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """Return the folders: `first` has the hub, `second` a node."""
    parts: dict[str, Any] = {
        "first": {"hub": {"hosts": {"box": {}}}},
        "second": {"nodes": {"hosts": {"mini": {}}}},
    }
    for name, part in parts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "hosts.yml").write_text(yaml.safe_dump(part))
    return [str(tmp_path / name) for name in parts]


def test_all_look_for_tokens_beside_the_inventory_with_the_hub(
    two: list[str], tmp_path: Path
) -> None:
    known = [{"ansible.builtin.include_vars": {"file": str(file)}} for file in FILES]
    told = f"{{{{ [{', '.join(WORDS)}] | to_json }}}}"
    dest = str(tmp_path / "{{ inventory_hostname }}.json")
    keep = {"ansible.builtin.copy": {"content": told, "dest": dest}}
    done = play([*known, keep], tmp_path, hosts="box:mini", inventory=two)
    assert done.returncode == 0, done.stdout + done.stderr
    for host in ("box", "mini"):
        found = json.loads((tmp_path / f"{host}.json").read_text())
        assert set(found) == {str(tmp_path / "secrets" / "first")}, host


TOKEN = "0123456789abcdef0123456789"


@pytest.mark.parametrize(
    ("token", "own", "there"),
    [("", [], []), (TOKEN, ["ada"], []), (TOKEN, ["ada"], ["ada"]), (TOKEN, [], [])],
    ids=["no token", "none of an agent's own", "an agent's own, too", "the node's alone"],
)
def test_a_node_is_not_switched_to_having_no_token(
    token: str, own: list[str], there: list[str], tmp_path: Path
) -> None:
    task = task_of(
        "roles/bus_watcher/tasks/switch.yml",
        "Stop if the control node does not have this node's tokens",
    )
    variables = {f"bus_watcher_{kind}_token": token for kind in ("node", "hook")}
    tokens = {**variables, "bus_watcher_own": own, "bus_watcher_own_there": there}
    done = play([task], tmp_path, variables={**tokens, "bus_watcher_secrets_dir": "/there"})
    is_whole = bool(token) and own == there
    said = " ".join(done.stdout.split())
    assert ("/there on this machine does not have all tokens of localhost" in said) != is_whole
    assert (done.returncode == 0) == is_whole
