"""Show that any agent joins, with the real Claude Code, Codex and OpenClaw: `make e2e-agents`.

Three hosts of the lab without a way out; only the language models are scripted. `site.yml` is
rolled out on them, the programs get the bus's MCP server as the pages of docs/how-to say, and then
talk to each other through nothing else. Prints when each hop happened and which MCP each program
spoke. Exit code 1 when a hop is missing or anything could be reached outside. The fleet is removed
at the end.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import yaml

from lab.fleet import standing
from lab.paths import ROOT
from lab.probe.hub import LabHub
from tests.e2e import conversation, install, run, stage
from tests.e2e.loop import on
from tests.e2e.members import (
    CLAUDE,
    CODEX,
    GUEST_CLAUDE,
    GUEST_CODEX,
    GUEST_GEMINI,
    GUESTS,
    MEMBERS,
    OPENCLAW,
    lines,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conversation import Conversation

NAME = "e2e-agents"
HUB_HOST = CLAUDE.host
SCRIPTED = "tests/e2e/scripted"
PAIRS = (
    (CLAUDE, CODEX),
    (CLAUDE, OPENCLAW),
    (OPENCLAW, CODEX),
    (GUEST_CLAUDE, CODEX),
    (GUEST_CODEX, CLAUDE),
    (GUEST_GEMINI, OPENCLAW),
)
"""Who asks, and who answers."""
OUTSIDE = "192.0.2.1"
"""An address that is nobody's (RFC 5737)."""


def write_inventory() -> Path:
    """Write the inventory of the hosts and return its folder."""
    folder = install.CACHE / "agents-inventory"
    folder.mkdir(parents=True, exist_ok=True)
    # a copy: a checkout that replaced the folder would leave the containers an empty one
    shutil.copytree(ROOT / SCRIPTED, install.CACHE / "scripted" / SCRIPTED, dirs_exist_ok=True)
    mounts = [f"{install.CACHE}:{run.MOUNTED}"]
    hosts: dict[str, Any] = {}
    for member in (*MEMBERS, *GUESTS):
        host = hosts.setdefault(member.host, {"agents": [], "e2e_users": []})
        host["e2e_users"].append(member.user)
        host["agents"] += [] if member.guest else [member.entry()]
    guests = {guest.guest: [guest.agent] for guest in GUESTS}
    text = yaml.safe_dump(
        {
            "all": {"vars": {"lab_mounts": mounts, "guests": guests}},
            "hub": {"hosts": {HUB_HOST: None}},
            "nodes": {"hosts": hosts},
        }
    )
    (folder / "hosts.yml").write_text(text)
    return folder


def prepare(up: standing.Fleet) -> None:
    """Have the real programs on the hosts, and no way out."""
    run.prepare(up, "--limit", OPENCLAW.host, "--extra-vars=e2e_model=http://127.0.0.1:8391/v1")
    places = {
        "node": install.NODE_PROGRAM,
        "libraries": install.LIBRARIES,
        **{name: install.client_program(name) for name in ("claude", "codex", "gemini")},
    }
    words = [f"--extra-vars=e2e_{name}={run.MOUNTED}/{path}" for name, path in places.items()]
    run.ansible(up, ROOT / "tests" / "e2e" / "agents.yml", run.PREPARE_TIMEOUT_S, *words)


def reachable(up: standing.Fleet) -> list[str]:
    """Return the hosts that have a way out."""
    command = f"sh -c 'ip route get {OUTSIDE} >/dev/null 2>&1 && echo out || true'"
    return [member.host for member in MEMBERS if on(up, member.host, command).strip()]


def show(up: standing.Fleet) -> bool:
    """Roll out, hold the conversations and print their hops; return whether all went well."""
    run.ansible(up, ROOT / "site.yml", run.ROLLOUT_TIMEOUT_S)
    for member in (*MEMBERS, *GUESTS):
        for command in member.setup:
            print(f"e2e: {member.user}@{member.host}: {command}", flush=True)
            member.run(up, command)
    hub = LabHub(NAME, standing.spec_of(up, HUB_HOST).address, run.PORT)
    started = time.time()
    held: list[Conversation] = []
    for asker, answerer in PAIRS:
        held.append(conversation.hold(up, hub, asker, answerer))
        print(f"\n{held[-1].table()}\n", flush=True)
        run.rest(time.monotonic())
    print(spoken(up, started), flush=True)
    troubles = [words for one in held for words in one.missing]
    troubles += [f"{host} has a way out" for host in reachable(up)]
    for trouble in troubles:
        print(f"e2e: {trouble}", file=sys.stderr)
    return not troubles


def spoken(up: standing.Fleet, since: float) -> str:
    """Return which MCP each program spoke, as its server heard it."""
    heard = lines(up, HUB_HOST, "/var/log/mcp-http.jsonl", since)
    for member in MEMBERS:
        heard += lines(up, member.host, "/var/log/mcp.jsonl", since)
    rows = []
    for client in sorted({line["client"] for line in heard if line["client"]}):
        mine = [line for line in heard if line["client"] == client]
        for transport in sorted({line["transport"] for line in mine}):
            said = [line for line in mine if line["transport"] == transport]
            revisions = sorted({line["revision"] for line in said})
            methods = sorted({line["method"] for line in said})
            rows.append(
                f"{client} over {transport}: MCP {', '.join(revisions)} ({' '.join(methods)})"
            )
    return "\n".join(["client, as it names itself:", *rows])


def logs(up: standing.Fleet) -> None:
    """Print the last words of watcher and turns on all hosts."""
    for member in MEMBERS:
        print(f"--- {member.host}", file=sys.stderr)
        words = "journalctl --no-pager --output short-iso --lines 60"
        print(on(up, member.host, words), file=sys.stderr)


STORY = stage.Story(
    fleet=NAME,
    words=__doc__,
    install=install.install_clients,
    write_inventory=write_inventory,
    prepare=prepare,
    show=show,
    logs=logs,
    all_well="all agents have talked",
)

if __name__ == "__main__":
    sys.exit(stage.perform(STORY))
