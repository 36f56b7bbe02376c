"""How the hub's own calls reach the bus, wherever it was told to listen."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.paths import ROOT
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

ROLES = [ROOT / "roles" / name for name in ("message_bus", "bus_watcher")]
VARIABLES = [*(role / "vars/main.yml" for role in ROLES), ROOT / "playbooks/vars/hub.yml"]
URLS = (
    "message_bus_hub.local_url",
    "bus_watcher_asked.plain_url",
    "hub.local_url",
    "message_bus_hub.listens",
)
binds = pytest.mark.parametrize(
    ("bind", "url", "in_json"),
    [
        ("::", "http://127.0.0.1:8091", "[::]:8091"),
        ("192.168.1.20", "http://192.168.1.20:8091", "192.168.1.20:8091"),
        ("fd00::7", "http://[fd00::7]:8091", "[fd00::7]:8091"),
    ],
)


def shown(template: str, folder: Path, **hub: Any) -> dict[str, Any]:
    """Return what a template comes to on the hub `box`, and on the node `mini`."""
    defaults = [yaml.safe_load((role / "defaults/main.yml").read_text()) for role in ROLES]
    inventory = {
        "all": {"vars": {name: value for known in defaults for name, value in known.items()}},
        "hub": {"hosts": {"box": hub}},
        "nodes": {"hosts": {"mini": {}}},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    known = [{"ansible.builtin.include_vars": {"file": str(file)}} for file in VARIABLES]
    dest = str(folder / "{{ inventory_hostname }}.json")
    keep = {"ansible.builtin.copy": {"content": template, "dest": dest}}
    done = play([*known, keep], folder, hosts="box:mini", inventory=[str(folder / "hosts.yml")])
    assert done.returncode == 0, done.stdout + done.stderr
    return {host: json.loads((folder / f"{host}.json").read_text()) for host in ("box", "mini")}


@binds
def test_every_call_goes_where_the_bus_listens(
    bind: str, url: str, in_json: str, tmp_path: Path
) -> None:
    asked = f"{{{{ [{', '.join(URLS)}] | to_json }}}}"
    told = shown(asked, tmp_path, message_bus_bind=bind)
    assert told["mini"] == told["box"] == [url, url, url, in_json]


@binds
@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("roles/message_bus/tasks/go_back.yml", "Wait until it is ready"),
        ("playbooks/rollback.yml", "Wait until the bus is ready in that release"),
    ],
)
def test_what_was_gone_back_to_is_asked_where_it_listens(
    bind: str, url: str, in_json: str, file: str, name: str, tmp_path: Path
) -> None:
    """The settings from then are in force, not the inventory's."""
    task = task_of(file, name)
    content = base64.b64encode(json.dumps({"bind": in_json}).encode()).decode()
    then = {"content": content}
    known = {"message_bus_settings_then": then, "settings": then}
    debug = {"ansible.builtin.debug": {"msg": task["ansible.builtin.uri"]["url"]}}
    done = play(
        [{**debug, "vars": task["vars"]}],
        tmp_path,
        variables={**known, "message_bus_hub": {"address": "box"}},
    )
    assert f"msg: {url}/readyz" in done.stdout, done.stdout
