"""`playbooks/pause.yml` and `resume.yml`, played over a real hub on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.test_status import inventory_of
from tests.support.hub import REPOSITORY, HubProcess, running
from tests.support.patience import patience

FLEET = {"n1": ("alpha", "beta"), "n2": ("gamma",), "hub-only": ()}


def played(inventory: Path, playbook: str, *words: str) -> tuple[int, int, str]:
    """(exit code, how many tasks changed something, what was said) of a playbook's run."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(inventory), str(REPOSITORY / "playbooks" / playbook), *words),
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
        stdin=subprocess.DEVNULL,
    )
    said = done.stdout + done.stderr
    changed = sum(map(int, re.findall(r"changed=(\d+)", said)))
    return done.returncode, changed, " ".join(said.split())


def paused(hub: HubProcess) -> list[tuple[str, str | None]]:
    listed = hub.client(None).get("/api/pauses").body["pauses"]
    return [(one["who"], one["note"]) for one in listed]


def ends(hub: HubProcess) -> list[tuple[str, str | None]]:
    listed = hub.client(None).get("/api/pauses").body["pauses"]
    return [(one["reason"], one["until"]) for one in listed]


def test_agents_are_paused_and_resumed_once(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        assert hub.enrol(FLEET, groups={"pair": ["alpha", "gamma"]}, force=True).status == 200
        inventory = inventory_of(hub, tmp_path)
        group = ("-e", "pause=@pair")
        code, changed, said = played(inventory, "pause.yml", *group, "--check")
        assert (code, paused(hub)) == (0, []), said
        code, changed, said = played(inventory, "pause.yml", *group, "-e", "pause_note=billing")
        assert (code, changed, paused(hub)) == (0, 1, [("@pair", "billing")]), said
        assert "@pair paused; not woken now: alpha, gamma." in said
        code, changed, said = played(inventory, "pause.yml", *group)
        assert (code, changed) == (0, 0), said
        code, changed, said = played(inventory, "resume.yml", *group)
        assert (code, changed, paused(hub)) == (0, 1, []), said
        code, changed, said = played(inventory, "resume.yml", *group)
        assert (code, changed) == (0, 0), said
        alpha = ("-e", "pause=alpha")
        assert hub.client(None).post("/api/agents/alpha/mute", {"for_s": 900}).status == 200
        code, changed, said = played(inventory, "pause.yml", *alpha)
        assert (code, changed, ends(hub)) == (0, 1, [("paused", None)]), said
        code, _, said = played(inventory, "pause.yml", *alpha, "-e", "pause_for=900")
        assert (code, ends(hub)[0][1] is None) == (0, False), said
        code, changed, said = played(inventory, "pause.yml", *alpha)
        assert (code, changed, ends(hub)) == (0, 1, [("paused", None)]), said
        code, _, said = played(inventory, "pause.yml", "-e", "pause=gama")
        assert code != 0
        assert "gamma" in said, "the closest name is told"
        code, _, said = played(inventory, "pause.yml")
        assert code != 0
        assert "Say whom: -e pause=AGENT" in said
