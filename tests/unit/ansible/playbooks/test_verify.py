"""Verifying passes only if every agent of the inventory was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.paths import ROOT
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

AGENTS = {"mini": {"agents": ["ada", {"name": "bert", "waker": "command"}]}, "bare": {}}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"ada": True, "bert": True}, None),
        ({"ada": True}, "The hub mini does not know bert of the inventory"),
        ({}, "The hub mini does not know ada, bert of the inventory"),
        ({"ada": True, "bert": False}, "Unreachable: bert. The table above says why."),
    ],
)
def test_an_agent_that_was_not_asked_is_not_verified(
    tmp_path: Path, asked: dict[str, bool], says: str | None
) -> None:
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"nodes": {"hosts": AGENTS}}))
    results: list[dict[str, Any]] = [{"agent": name, "ok": ok} for name, ok in asked.items()]
    (first,) = yaml.safe_load((ROOT / "playbooks" / "verify.yml").read_text())
    own = {name: first["vars"][name] for name in ("listed", "asked", "not_asked")}
    known = {"probe": {"status": 200, "json": {"results": results}}, "hub": {"name": "mini"}}
    task = task_of(
        "playbooks/verify.yml", "Fail if the hub does not answer or an agent is unreachable"
    )
    done = play(
        [{**task, "vars": own}],
        tmp_path,
        hosts="mini",
        inventory=[str(tmp_path / "hosts.yml")],
        variables={**known, "fleet_looked": {"skipped": True}},
    )
    assert (done.returncode == 0) == (says is None), done.stdout
    assert says is None or says in " ".join(done.stdout.split())
