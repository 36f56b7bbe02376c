"""Defaults, argument specs and the reference say the same of every variable."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_bus.settings import Settings as HubSettings
from agent_bus_client.settings import Settings as NodeSettings
from docs.generate_inventory import documented
from roles.preflight.filter_plugins.preflight import INVENTORY_VARIABLES
from tests.support.plays import tasks_in

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted((ROOT / "roles").iterdir())
REFERENCE = (ROOT / "docs" / "reference" / "inventory.md").read_text()
TYPES = {bool: "bool", int: "int", dict: "dict", list: "list"}


def defaults_of(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    return found


def specs_of(role: Path) -> dict[str, Any]:
    text = (role / "meta" / "argument_specs.yml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)["argument_specs"]
    return found


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_has_a_spec_and_every_spec_a_default(role: Path) -> None:
    for entry, spec in specs_of(role).items():
        assert set(spec["options"]) == set(defaults_of(role)), entry


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_of_the_type_that_its_spec_says(role: Path) -> None:
    options = specs_of(role)["main"]["options"]
    for name, default in defaults_of(role).items():
        if type(default) in TYPES:
            assert options[name]["type"] == TYPES[type(default)], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_is_explained_and_carries_its_role_s_name(role: Path) -> None:
    explained = {name: meaning for name, _, meaning in documented(role)}
    assert set(explained) == set(defaults_of(role))
    for name, meaning in explained.items():
        assert name.startswith(f"{role.name}_")
        assert meaning.endswith("."), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_entry_of_a_role_that_a_playbook_uses_has_a_spec(role: Path) -> None:
    used = set()
    for playbook in [ROOT / "site.yml", *(ROOT / "playbooks").rglob("*.yml")]:
        for task in tasks_in(yaml.safe_load(playbook.read_text())):
            for action in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                if task.get(action, {}).get("name") == role.name:
                    used.add(task[action].get("tasks_from", "main"))
    assert used
    assert used <= set(specs_of(role))


def test_the_reference_has_every_variable_of_the_inventory() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", REFERENCE, re.MULTILINE))
    assert set(INVENTORY_VARIABLES) <= rows


def test_the_reference_is_what_defaults_and_specs_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate_inventory.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_batches_in_the_reference_are_those_of_site_yml() -> None:
    shown = re.search(r"^\| `rollout_batches` \|[^|]*\| `([^`]*)` \|", REFERENCE, re.MULTILINE)
    assert shown
    plays = yaml.safe_load((ROOT / "site.yml").read_text())
    (serial,) = (one["serial"] for one in plays if one.get("serial", 1) != 1)
    assert f"default({shown[1]})" in serial


def kind(annotation: object) -> str:
    """Return Ansible's name for the type of a setting."""
    words = str(annotation)
    known = {"Path": "path", "float": "float", "int": "int", "bool": "bool"}
    return next((name for word, name in known.items() if word in words), "str")


@pytest.mark.parametrize(
    ("variable", "settings", "set_by_the_role"),
    [
        (
            "message_bus_settings",
            {name: field.annotation for name, field in HubSettings.model_fields.items()},
            {
                *("bind", "database", "admin_tokens_file"),
                *("database_password_file", "data_folder", "name", "hubs"),
                *("patroni_url", "patroni_ca_file", "etcd_metrics_url"),
                "database_certificate_file",
                *("tls_certificate_file", "tls_key_file", "tls_ca_file", "webhooks_file"),
                "channels_file",
            },
        ),
        (
            "bus_watcher_settings",
            dict[str, object](NodeSettings.__annotations__),
            {"node", "hub_url", "hub_urls", "agents", "gateway_url", "openclaw_config"},
        ),
    ],
)
def test_the_further_settings_in_the_specs_are_the_program_s(
    variable: str, settings: dict[str, object], set_by_the_role: set[str]
) -> None:
    role = ROOT / "roles" / variable.removesuffix("_settings")
    options = specs_of(role)["main"]["options"][variable]["options"]
    assert {name: option["type"] for name, option in options.items()} == {
        name: kind(type_) for name, type_ in settings.items() if name not in set_by_the_role
    }


def test_what_failed_belongs_to_whom_the_outbox_belongs_to() -> None:
    role = yaml.safe_load((ROOT / "roles/bus_watcher/vars/main.yml").read_text())
    outbox = Path("/var/lib/agent-bus/outbox")
    whole, failed = (
        {**entry, "path": ""}
        for path in (outbox, outbox / "failed")
        for entry in role["bus_watcher_own_files"]
        if entry["path"] == str(path)
    )
    assert whole == failed
