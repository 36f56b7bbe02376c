from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lab.fleet import inventory
from lab.paths import LabError

if TYPE_CHECKING:
    from pathlib import Path


def test_hosts_of_the_fleets_groups_count_and_no_others() -> None:
    listing = {
        "_meta": {"hostvars": {"a": {"x": 1}}},
        "all": {"children": ["ungrouped", "hub", "nodes", "printers"]},
        "hub": {"hosts": ["a"]},
        "nodes": {"children": ["upstairs"], "hosts": ["a", "b"]},
        "upstairs": {"hosts": ["c"]},
        "printers": {"hosts": ["p"]},
    }
    read = inventory.parse(json.dumps(listing))
    assert read.hosts == ("a", "b", "c")
    assert read.hub == {"a"}
    assert read.variables == {"a": {"x": 1}, "b": {}, "c": {}}


def test_an_inventory_without_hub_and_nodes_is_refused() -> None:
    with pytest.raises(LabError, match="no host in its groups hub and nodes"):
        inventory.parse(json.dumps({"all": {"hosts": ["x"]}}))


def test_files_and_folders_are_read_alike(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yml"
    file.write_text("hub: {hosts: {h: }}\nnodes: {hosts: {n: {agents: [a]}}}\n")
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "hosts").write_text("[hub]\nh\n[nodes]\nn agents=\"['a']\"\n")
    assert inventory.read([file]).hosts == inventory.read([folder]).hosts == ("h", "n")


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no inventory at .*none"):
        inventory.read([tmp_path / "none"])


def test_an_inventory_that_ansible_cannot_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yml"
    file.write_text("hub: [")
    with pytest.raises(LabError, match="cannot read"):
        inventory.read([file])
