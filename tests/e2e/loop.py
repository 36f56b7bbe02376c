"""One round of the loop that the bus is for, hop by hop.

A user asks alice, who writes to bob on another machine; bob is woken, reads, answers and acks;
alice is woken by the answer. Nothing here is told to the watchers or the gateways: what is done by
hand is the user's one line. Containers share this machine's clock, so that times can be compared.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from lab.fleet.ssh import ssh_command
from lab.fleet.standing import spec_of
from lab.paths import LabError

if TYPE_CHECKING:
    from lab.fleet.standing import Fleet
    from lab.probe.hub import LabHub

ASKER, ASKER_HOST = "alice", "upstairs"
ANSWERER, ANSWERER_HOST = "bob", "downstairs"
HOSTS = (ASKER_HOST, ANSWERER_HOST)
BUSY = "carol"
"""Lives beside bob; while her turn runs a gateway of the older kind starts no wake."""
ORDER = f"Ask {ANSWERER} over the agent bus as {ASKER} how he is."
ROUND_TIMEOUT_S = 400
COMMAND_TIMEOUT_S = 600


AS_OPENCLAW = "runuser -u openclaw -- env HOME=/home/openclaw"
RELEASE = "http://127.0.0.1:8390/release"
ESCALATED = "escalated: the mapped hook"
WOKEN = f"{ANSWERER}'s model runs agent-bus inbox"


@dataclass(slots=True)
class Hop:
    """One step, where it happens, and when (None: it did not)."""

    what: str
    where: str
    at: float | None = None
    optional: bool = False


@dataclass(slots=True)
class Round:
    """What became of one round."""

    hops: list[Hop] = field(default_factory=list)
    skill_read: bool = False
    busy_until: float = math.inf
    """When the turn ended beside which it was played."""

    @property
    def missing(self) -> list[Hop]:
        """Return the hops that did not happen."""
        return [hop for hop in self.hops if hop.at is None and not hop.optional]

    @property
    def overtook(self) -> bool:
        """Tell whether the woken turn had begun before the other one ended, in whatever way."""
        begun = {hop.what: hop.at for hop in self.hops}[WOKEN]
        return begun is not None and begun < self.busy_until


def on(fleet: Fleet, host: str, command: str) -> str:
    """Run a command on a host as root and return what it printed."""
    return subprocess.run(
        [*ssh_command(spec_of(fleet, host)), f"sudo {command}"],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=COMMAND_TIMEOUT_S,
    ).stdout


def doctor(fleet: Fleet, host: str) -> list[str]:
    """Return what `agent-bus doctor` finds wrong on a host, as the gateway's user runs it."""
    said = on(fleet, host, f"{AS_OPENCLAW} sh -c 'agent-bus doctor || true'")
    failed = [line for line in said.splitlines() if not line.startswith("ok ")]
    return failed if "ok   wake hook" in said else [*failed, f"no wake hook was proven: {said}"]


def play(fleet: Fleet, hub: LabHub) -> Round:
    """Have the user ask alice, wait for the whole loop and return its hops."""
    started = time.time()
    tell(fleet, ASKER_HOST, ASKER, ORDER)
    deadline = time.monotonic() + ROUND_TIMEOUT_S
    while True:
        found = _look(fleet, hub, started)
        if not found.missing or time.monotonic() > deadline:
            return found
        time.sleep(1)


def play_beside_a_busy_agent(fleet: Fleet, hub: LabHub) -> Round:
    """Play a round while another agent of bob's gateway is in a long turn.

    That turn ends when the round has. A heartbeat engine lets bob's wake wait, so that only the
    escalation gets to him; a gateway without one starts his turn beside the other.

    Raises:
        LabError: the other agent's turn does not start.
    """
    started, deadline = time.time(), time.monotonic() + ROUND_TIMEOUT_S
    with ThreadPoolExecutor(max_workers=1) as pool:
        turn = pool.submit(tell, fleet, ANSWERER_HOST, BUSY, "Think until you are released.")
        while not _is_busy(fleet, started):
            if turn.done() or time.monotonic() > deadline:
                raise LabError(f"{BUSY} does not get busy")
            time.sleep(0.5)
        found = play(fleet, hub)
        found.busy_until = time.time()
        on(fleet, ANSWERER_HOST, f"curl -fsS --noproxy '*' -o /dev/null {RELEASE}")
        turn.result()
    return found


def _is_busy(fleet: Fleet, since: float) -> bool:
    return any("held" in call for call in _model_calls(fleet, ANSWERER_HOST, since))


def tell(fleet: Fleet, host: str, agent: str, words: str) -> None:
    """Be the user who says something to an agent; returns when it has answered."""
    on(fleet, host, f"{AS_OPENCLAW} openclaw agent --agent {agent} -m '{words}'")


def _look(fleet: Fleet, hub: LabHub, since: float) -> Round:
    asker = _model_calls(fleet, ASKER_HOST, since)
    answerer = _model_calls(fleet, ANSWERER_HOST, since)
    question, answer = _messages(hub, since)
    woken = f"agent-bus inbox --as {ASKER}"
    hops = [
        Hop(f"{ASKER}'s model runs agent-bus send", ASKER_HOST, _first(asker, "agent-bus send")),
        Hop("message on disk", "hub", _stamp(question, "stored_at")),
        Hop(f"pushed to {ANSWERER}'s watcher", "hub", _stamp(question, "pushed_at")),
        Hop("wake accepted by the gateway", ANSWERER_HOST, _stamp(question, "accepted_at")),
        Hop(ESCALATED, ANSWERER_HOST, _stamp(question, "escalated_at"), optional=True),
        Hop(
            WOKEN,
            ANSWERER_HOST,
            _first(answerer, f"agent-bus inbox --as {ANSWERER}"),
        ),
        Hop("agent-bus inbox has shown it", ANSWERER_HOST, _stamp(question, "fetched_at")),
        Hop("agent-bus reply: on disk", "hub", _stamp(answer, "stored_at")),
        Hop("agent-bus ack: message is read", ANSWERER_HOST, _stamp(question, "read_at")),
        Hop(f"reply pushed to {ASKER}'s watcher", "hub", _stamp(answer, "pushed_at")),
        Hop("wake accepted by the gateway", ASKER_HOST, _stamp(answer, "accepted_at")),
        Hop(f"{ASKER}'s model runs agent-bus inbox", ASKER_HOST, _first(asker, woken)),
        Hop("agent-bus inbox has shown it", ASKER_HOST, _stamp(answer, "fetched_at")),
        Hop("agent-bus ack: reply is read", ASKER_HOST, _stamp(answer, "read_at")),
    ]
    return Round(hops, skill_read=any(call["tool"] == "read" for call in answerer))


def _model_calls(fleet: Fleet, host: str, since: float) -> list[dict[str, Any]]:
    log = on(fleet, host, "sh -c 'cat /home/openclaw/model.jsonl 2>/dev/null || true'")
    calls = [json.loads(line) for line in log.splitlines()]
    return [call for call in calls if call["at"] >= since]


def _first(calls: list[dict[str, Any]], command: str) -> float | None:
    return next((c["at"] for c in calls if str(c.get("command", "")).startswith(command)), None)


def _messages(hub: LabHub, since: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the deliveries of the question and of its answer; empty while there is none."""
    query = urlencode({"agent": ASKER, "with": ANSWERER, "limit": 500})
    messages = hub.get(f"/api/history?{query}")["messages"]
    new = [m for m in messages if _epoch(m["created_at"]) >= since - 0.001]
    questions = [m for m in new if m["from_agent"] == ASKER]
    answers = [m for m in new if m["from_agent"] == ANSWERER]
    return _delivery(hub, questions), _delivery(hub, answers)


def _delivery(hub: LabHub, messages: list[dict[str, Any]]) -> dict[str, Any]:
    if not messages:
        return {}
    first = messages[-1]  # the newest comes first
    found: dict[str, Any] = hub.get(f"/api/messages/{first['id']}")["deliveries"][0]
    return found


def _stamp(delivery: dict[str, Any], name: str) -> float | None:
    stamp = delivery.get(name)
    return _epoch(stamp) if stamp else None


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def table(rounds: list[tuple[str, Round]]) -> str:
    """Return the hops as text, one line each: time since the first one in each round."""
    head = ["HOP", "ON", *(name.upper() for name, _ in rounds)]
    rows = [head]
    for number, hop in enumerate(rounds[0][1].hops):
        cells = [_since(found, number) for _, found in rounds]
        rows.append([hop.what, hop.where, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    words = 2
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _since(found: Round, number: int) -> str:
    start, hop = found.hops[0].at, found.hops[number]
    if start is None or hop.at is None:
        return "-" if hop.optional else "MISSING"
    return f"{(hop.at - start) * 1000:+.0f} ms"
