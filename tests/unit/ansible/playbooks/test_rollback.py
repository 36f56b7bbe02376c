"""What rollback.yml says of a release that it went back to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

BACK = {"back_to": "1.0-a"}


def node(**of: Any) -> dict[str, Any]:
    told = {"node": "localhost", "connected": True, "watcher_version": "1.0-a"}
    return {"rc": 0, "stdout": json.dumps({"nodes": [{**told, **of}]}), "stderr": ""}


@pytest.mark.parametrize(
    ("roster", "words"),
    [
        (node(), ""),
        (node(connected=False), "the hub sees it not connected"),
        (node(watcher_version="2.0-b"), "the hub sees it in 2.0-b"),
        (node(node="other"), "the hub sees it not connected"),
        (
            {"rc": 77, "stdout": "", "stderr": "admin.token cannot be read"},
            "cannot be asked: admin.token cannot be read",
        ),
    ],
)
def test_a_watcher_that_is_not_back_is_told_with_the_reason(
    roster: dict[str, Any], words: str, tmp_path: Path
) -> None:
    task = task_of(
        "playbooks/rollback.yml", "Stop unless the hub sees the watcher in that release"
    )
    known = {"roster": roster, "back": BACK, "hub": {"name": "box"}}
    done = play([task], tmp_path, variables=known)
    assert (done.returncode == 0) == (not words), done.stdout
    assert words in " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("ready", "words"),
    [
        ({"json": {"ready": True, "version": "1.0-a"}}, ""),
        ({"json": {"ready": False, "version": "1.0-a", "checks": {"w": "disk is full"}}}, "full"),
        ({"status": -1, "msg": "Connection refused"}, "Connection refused"),
    ],
)
def test_a_hub_that_is_not_ready_is_told_with_its_last_words(
    ready: dict[str, Any], words: str, tmp_path: Path
) -> None:
    task = task_of("playbooks/rollback.yml", "Stop unless it is ready in that release")
    known = {"ready": ready, "back": BACK, "words": {"stdout": "its last line"}}
    done = play([task], tmp_path, variables=known)
    assert (done.returncode == 0) == (not words), done.stdout
    assert words in done.stdout + done.stderr
    assert ("its last line" in done.stdout + done.stderr) == bool(words)
