"""What the module finds out about a running gateway: a real process of the stand-in."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.module import answer_of
from tests.support.node_side import STANDIN, Process, until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "t" * 43
ME = pwd.getpwuid(os.getuid())


class Box:
    """A host with a gateway that was started by hand, with an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # as npm installs it: a name in a folder that is on the gateway's PATH and on no other
        self.bin = folder / "bin"
        self.bin.mkdir()
        program = f'#!/bin/sh\nexec {sys.executable} {STANDIN.parent}/openclaw "$@"\n'
        (self.bin / "openclaw").write_text(program)
        (self.bin / "openclaw").chmod(0o755)
        (self.bin / "openclaw-gateway").symlink_to(STANDIN)

    def start(self, **environment: str) -> Process:
        argv = [sys.executable, str(self.bin / "openclaw-gateway"), "--port", str(self.port)]
        given = {"PATH": f"{self.bin}:{os.environ['PATH']}", **environment}
        self.process = Process(argv, self.folder / "gateway.log", env=given)
        until(lambda: "listens" in self.process.log.read_text(), what="the gateway listens")
        return self.process

    def run(self, **more: Any) -> dict[str, Any]:
        arguments = {"user": ME.pw_name, "agents": ["main"], "token": TOKEN, "url": self.url}
        return answer_of("openclaw_gateway", {**arguments, "skill": "text\n", **more})


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    if hasattr(made, "process"):
        made.process.kill()


@pytest.mark.parametrize(
    ("environment", "config", "skills"),
    [
        ({"OPENCLAW_STATE_DIR": "state"}, "state/openclaw.json", "state/skills"),
        ({"OPENCLAW_CONFIG_PATH": "etc/claw.json"}, "etc/claw.json", "etc/skills"),
        (
            {"OPENCLAW_STATE_DIR": "state", "OPENCLAW_CONFIG_PATH": "etc/claw.json"},
            "etc/claw.json",
            "state/skills",
        ),
        ({"HOME": "state"}, "state/.openclaw/openclaw.json", "state/.openclaw/skills"),
    ],
)
def test_hooks_land_where_the_running_gateway_reads_them(
    box: Box, environment: dict[str, str], config: str, skills: str
) -> None:
    (box.folder / "etc").mkdir()
    places = {name: str(box.folder / place) for name, place in environment.items()}
    box.start(**{"HOME": str(box.folder / "home"), **places})
    first = box.run()
    assert first["changed"], first
    assert first["notes"] == []
    assert json.loads((box.folder / config).read_text())["hooks"]["token"] == TOKEN
    assert (box.folder / skills / "agent-bus" / "SKILL.md").read_text() == "text\n"
    assert first["watcher_settings"]["openclaw_config"] == str(box.folder / config)
    assert f"process {box.process.child.pid}" in first["source"]
    second = box.run()
    assert not second["changed"], second
    assert box.run(state="absent")["changed"]
    assert not (box.folder / skills / "agent-bus").exists()
    assert not box.run(state="absent")["changed"]


def test_what_the_inventory_says_stands_above_what_runs(box: Box) -> None:
    box.start(OPENCLAW_STATE_DIR=str(box.state))
    other = box.folder / "other"
    other.mkdir()
    answer = box.run(state_dir=str(other))
    assert json.loads((other / "openclaw.json").read_text())["hooks"]["token"] == TOKEN
    assert not (box.state / "openclaw.json").exists()
    assert str(other) in answer["notes"][0], answer  # the gateway does not read it


def test_the_gateway_s_own_environment_reaches_its_command_and_nobody_else(box: Box) -> None:
    """Its settings may name keys that only its unit has; without them OpenClaw refuses to work."""
    seen = box.folder / "seen"
    program = box.bin / "openclaw"
    program.write_text(program.read_text().replace("exec", f"env >{seen}\nexec"))
    box.start(OPENCLAW_STATE_DIR=str(box.state), MODEL_KEY="sk-secret", NOTIFY_SOCKET="@x")
    answer = box.run()
    assert "MODEL_KEY=sk-secret" in seen.read_text()
    assert "NOTIFY_SOCKET" not in seen.read_text()
    assert "sk-secret" not in json.dumps(answer)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to run a gateway as another user")
def test_the_gateway_of_another_user_is_named_and_left_alone(box: Box) -> None:
    box.start(OPENCLAW_STATE_DIR=str(box.state))
    answer = box.run(user="daemon")
    assert not answer["changed"]
    assert f"set openclaw_user: {getpass.getuser()}" in answer["notes"][0]
