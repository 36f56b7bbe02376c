"""Fleets of the same name from two clones of this project can exist side by side."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from lab.paths import ROOT
from tests.lab.conftest import FLEET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.conftest import Lab

PARTS = (
    *("ansible.cfg", "files", "filter_plugins", "lab", "library", "playbooks", "roles"),
    *("action_plugins", "lookup_plugins"),
    *("tests", "templates"),
)


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> Lab:
    """The same lab, used from another clone of the project."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, clone / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, clone / part)
    return dataclasses.replace(lab, clone=clone)


def test_neither_is_in_the_others_way(lab: Lab, other: Lab) -> None:
    lab.up()
    other.up()
    assert lab.states() == ["running"] * 4  # as podman sees both fleets

    subnets = {
        json.loads((clone / ".cache" / "lab" / FLEET / "fleet.json").read_text())["subnet"]
        for clone in (ROOT, other.clone)
    }
    assert len(subnets) == 2
    assert "already running" in lab.up()
    assert "already running" in other.up()

    removed = other.run(*other.fleet("down"))
    assert "2 containers removed" in removed.stdout, removed.stderr
    assert lab.states() == ["running"] * 2
    assert "already running" in lab.up()
    alive = lab.run(*lab.fleet("exec"), "birch", "hostname")
    assert alive.stdout.strip() == "birch", alive.stderr
