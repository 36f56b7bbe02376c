"""The script that removes what turns of agents that are gone have left on a host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[4] / "roles" / "bus_watcher" / "files" / "turns.sh"

NOBODY = (" ", " ")
"""No agent has a token of its own, and no user has lost the node's."""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with turns of coder and tester, and units that the operator has edited."""
    for agent in ("coder", "tester"):
        folder = tmp_path / f"etc/systemd/system/agent-bus-turn@{agent}.service.d"
        folder.mkdir(parents=True)
        (folder / "agent.conf").write_text(f"[Service]\nUser=user-of-{agent}\n")
        state = tmp_path / f"var/lib/agent-bus-turns/{agent}"
        state.mkdir(parents=True)
        (state / "session.json").write_text("{}")
    for edited in ("agent-bus-turn@.service.d", "agent-bus-turn@other.service.d"):
        folder = tmp_path / "etc/systemd/system" / edited
        folder.mkdir()
        (folder / "override.conf").write_text("[Service]\nMemoryMax=4G\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text("#!/bin/sh\n")
    (programs / "systemctl").chmod(0o755)
    return tmp_path


def ran(host: Path, *arguments: str) -> str:
    text = SCRIPT.read_text(encoding="utf-8")
    for place in (
        "/etc/systemd/system",
        "/var/lib/agent-bus-turns",
        "/run/agent-bus",
        "/etc/agent-bus",
    ):
        text = text.replace(place, f"{host}{place}")
    path = f"{host}/programs{os.pathsep}{os.defpath}"
    command = ["/bin/sh", "-c", text, "turns.sh", *arguments]
    done = subprocess.run(
        command, env={"PATH": path}, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def conversations(host: Path) -> list[str]:
    return sorted(path.parent.name for path in host.glob("var/lib/agent-bus-turns/*/session.json"))


def edits(host: Path) -> list[str]:
    return sorted(path.parent.name for path in host.glob("etc/systemd/system/*/override.conf"))


def test_only_what_is_not_wanted_is_found_and_removed(host: Path) -> None:
    found = ran(host, "look", " user-of-coder ", " coder ", *NOBODY)
    assert found == "user user-of-tester\nagent tester\n"
    removed = ran(host, "remove", found)
    assert removed == "removed the token of user-of-tester\nremoved agent tester\n"
    assert conversations(host) == ["coder"]
    assert ran(host, "look", " user-of-coder ", " coder ", *NOBODY) == ""


@pytest.mark.parametrize("wanted", [" coder tester ", "  "])
def test_what_the_operator_has_edited_for_all_turns_is_no_agent(host: Path, wanted: str) -> None:
    found = ran(host, "look", " user-of-coder user-of-tester ", wanted, *NOBODY)
    assert "agent \n" not in found
    if found:
        ran(host, "remove", found)
    assert conversations(host) == wanted.split()
    assert edits(host) == ["agent-bus-turn@.service.d", "agent-bus-turn@other.service.d"]


def test_tokens_that_nobody_is_to_have_are_found_and_removed(host: Path) -> None:
    tokens, users = host / "etc/agent-bus/tokens", host / "etc/agent-bus/cli"
    for path in (tokens / "coder", tokens / "gone", users / "coder.token", users / "claw.token"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    everybody = (" user-of-coder user-of-tester ", " coder tester ")
    found = ran(host, "look", *everybody, " coder ", " coder ")
    assert found == "token gone\nnode-token coder\n"
    assert "removed the own token of gone" in ran(host, "remove", found)
    left = [path.name for path in (*tokens.iterdir(), *users.iterdir())]
    assert sorted(left) == ["claw.token", "coder"]
    assert ran(host, "look", *everybody, " coder ", " coder ") == ""
