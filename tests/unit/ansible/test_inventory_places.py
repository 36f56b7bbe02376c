from __future__ import annotations

from typing import TYPE_CHECKING

from roles.preflight.filter_plugins.inventory_places import inventory_places

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
