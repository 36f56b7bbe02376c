from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from filter_plugins.inventory_places import inventory_places
from roles.preflight.filter_plugins.preflight_values import value_findings

if TYPE_CHECKING:
    from pathlib import Path


def find(places: list[dict[str, object]], *keys: str) -> list[tuple[object, object]]:
    return [(p["line"], p["value"]) for p in places if p["keys"] == list(keys)]


def test_keys_and_values_of_a_folder_have_their_lines(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("nodes:\n  hosts:\n    one:\n      agents: [a,\n b]\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("---\nagent_groups:\n  pair: [a]\n")
    (tmp_path / "host_vars" / "one").mkdir(parents=True)
    (tmp_path / "host_vars" / "one" / "x.yml").write_text("rack: 3\n")
    places = inventory_places([str(tmp_path)])
    assert find(places, "nodes", "hosts", "one", "agents", "1") == [(5, "b")]
    assert find(places, "group_vars", "all", "agent_groups", "pair", "0") == [(3, "a")]
    assert find(places, "host_vars", "one", "rack") == [(1, None), (1, "3")]


def test_an_ini_inventory_is_read(tmp_path: Path) -> None:
    source = tmp_path / "hosts"
    source.write_text("# fleet\n[hub]\nbox\n\n[nodes]\nbox agents=a rack=2\n[all:vars]\nx=1\n")
    places = inventory_places([str(source)])
    assert find(places, "hub", "hosts", "box") == [(3, None)]
    assert find(places, "nodes", "hosts", "box", "rack") == [(6, "2")]
    assert find(places, "all", "vars", "x") == [(8, "1")]


def test_vaulted_values_and_broken_files_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all:\n  vars:\n    x: !vault |\n      $ANSIBLE_VAULT\n")
    (tmp_path / "broken.yml").write_text("a: [")
    assert find(inventory_places([str(tmp_path)]), "all", "vars", "x")[0] == (3, None)


def test_a_source_that_is_no_file_has_no_places(tmp_path: Path) -> None:
    assert inventory_places(["box,", str(tmp_path / "none")]) == []


@pytest.mark.parametrize("mode", [0o755, 0o644])
def test_a_program_that_prints_the_inventory_is_not_read(mode: int, tmp_path: Path) -> None:
    program = tmp_path / "from_the_cloud"
    program.write_text("#!/bin/sh\nhosts=1\nhosts=2\nhosts=2\n")
    program.chmod(mode)
    assert inventory_places([str(program)]) == inventory_places([str(tmp_path)]) == []


def test_a_file_that_only_its_mount_makes_executable_is_read(tmp_path: Path) -> None:
    source = tmp_path / "hosts.yml"
    source.write_text("hub:\n  hosts:\n    box:\n")
    source.chmod(0o755)
    assert find(inventory_places([str(source)]), "hub", "hosts", "box")[0] == (3, None)


@pytest.mark.parametrize("name", ["notes.txt", "hosts.yml~", "hosts.rst", ".hosts.swp", "x.token"])
def test_what_ansible_ignores_in_a_folder_is_ignored(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("box:\n  hosts: {}\n")
    assert inventory_places([str(tmp_path)]) == []


def test_a_file_wholly_under_vault_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n6364\n")
    places = inventory_places([str(tmp_path)])
    groups: dict[str, list[str]] = {}
    assert places == []
    assert value_findings(places, hostvars={}, groups=groups, specs={}, secrets="/none") == []


def test_a_place_without_keys_is_no_obstacle() -> None:
    places = [{"file": "x", "line": 1, "keys": [], "value": "text", "sets": None}]
    groups: dict[str, list[str]] = {}
    assert value_findings(places, hostvars={}, groups=groups, specs={}, secrets="/none") == []
