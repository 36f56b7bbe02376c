"""A turn ends, whatever becomes of whoever watches it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.agents import Agent, Turns
from agent_bus_client.turns import descendants, turn
from agent_bus_client.turns.readiness import Readiness

if TYPE_CHECKING:
    from pathlib import Path


def test_a_turn_that_cannot_be_watched_any_more_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*, but: int) -> None:
        raise OSError(errno.EMFILE, f"too many open files beside {but}")

    killed = []
    monkeypatch.setattr(turn, "REAP_EVERY_S", 0.0)
    monkeypatch.setattr(descendants, "reap", fails)
    # for real it would end what else this process has started
    monkeypatch.setattr(descendants, "kill_all", lambda: killed.append("all"))
    program = tmp_path / "runtime"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    settings = Turns("dev", str(tmp_path))
    ready = Readiness(program=str(program), environment={"PATH": "/usr/bin:/bin"})
    agent = Agent("coder", "claude-code", turns=settings)
    watched = turn.Turn(agent, settings, ready, session="s", resume=False)
    with pytest.raises(OSError, match="too many open files"):
        watched.wait()
    assert watched._child.poll() is not None
    assert killed == ["all"]
