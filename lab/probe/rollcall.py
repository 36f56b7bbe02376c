"""Send a message to every agent of a running fleet and see who was woken, where, and how soon.

Each message is sent with the agent's own command line on its host. The wakes are read from each
host's stand-in for OpenClaw, and the hub says when it stored and pushed each message. For an agent
that a command wakes there is no gateway to ask; there the watcher's report to the hub counts. All
containers share this machine's clock, so times of different hosts can be compared.
"""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lab.fleet.ssh import ssh_command
from lab.fleet.standing import spec_of
from lab.paths import LabError
from lab.probe.census import census_of
from lab.probe.hub import LabHub
from lab.progress import doing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lab.fleet.standing import Fleet
    from lab.probe.census import Census

WAKE_TIMEOUT_S = 30
"""An agent that was woken a moment ago is woken again only after 12 s, to spare its gateway."""

SENDER = """
import json, subprocess, sys, time
for letter in json.load(sys.stdin):
    at = time.time()
    words = ["agent-bus", "send", "--json", "--as", letter["sender"], "--to", letter["recipient"]]
    done = subprocess.run([*words, letter["body"]], capture_output=True, text=True)
    sent = json.loads(done.stdout) if done.returncode == 0 else {}
    print(json.dumps({**letter, "at": at, "id": sent.get("id"), "error": done.stderr.strip()}))
"""
LISTENER = """
import json, sys, time, urllib.request
wanted, since, url = json.load(sys.stdin)
deadline = time.time() + %d
gateway = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
while True:
    wakes = json.load(gateway.open(url + "/standin/wakes"))["wakes"]
    wakes = [wake for wake in wakes if wake["at"] >= since]
    # a wake before the letter says nothing about it
    woken = {wake["agent"] for wake in wakes if wake["at"] >= wanted.get(wake["agent"], since)}
    if woken >= set(wanted) or time.time() > deadline:
        break
    time.sleep(0.1)
print(json.dumps(wakes))
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of the roll call."""

    sender: str
    sender_host: str
    recipient: str
    host: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter; times in milliseconds, None where it did not happen."""

    letter: Letter
    committed_ms: float | None
    pushed_ms: float | None
    woken_ms: float | None
    trouble: str


def letters(
    agents: Mapping[str, Sequence[str]], speakers: Mapping[str, Sequence[str]] | None = None
) -> list[Letter]:
    """Return one letter to each agent, from an agent of the next host if there is another.

    Args:
        agents: who is written to, by host.
        speakers: who may write, by host; a host without any gets its letters from the one before.
    """
    hosts = list(agents)
    writing = speakers or agents
    found = []
    for number, host in enumerate(hosts):
        turns = (hosts[(number + step) % len(hosts)] for step in range(1, len(hosts) + 1))
        sender_host = next(other for other in turns if writing[other])
        senders = itertools.cycle(writing[sender_host])
        found += [
            Letter(sender, sender_host, recipient, host)
            for recipient, sender in zip(agents[host], senders, strict=False)
        ]
    return found


def call(fleet: Fleet) -> list[Outcome]:
    """Send the letters, wait for the wakes and return what became of each, in inventory order.

    Raises:
        LabError: a host cannot be reached.
    """
    who = census_of(fleet.name)
    wanted = letters(who.agents, who.speakers)
    since = time.time()
    # one host after the other: many Pythons starting at once would slow all times
    sends = []
    for host in who.agents:
        doing(f"roll call: the agents of {host} write")
        sends.append(_send(fleet, who, host, wanted))
    sent = {entry["recipient"]: entry for entries in sends for entry in entries}
    doing(f"roll call: waiting until {len(wanted)} agents have been woken")
    with ThreadPoolExecutor(max_workers=len(who.agents)) as pool:
        list(pool.map(lambda host: _listen(fleet, who, host, since=since, sent=sent), who.agents))
        # once more, now that all were woken: nobody may have been woken on another host, too
        final = pool.map(
            lambda host: _listen(fleet, who, host, since=since, sent=sent), who.agents
        )
        wakes = dict(zip(who.agents, final, strict=True))
    timelines = _timelines(fleet, who, sent.values())
    for letter in wanted:
        accepted = _epoch(timelines.get(letter.recipient, {}).get("accepted_at"))
        if letter.recipient in who.commanded and accepted:
            wakes[letter.host].append({"agent": letter.recipient, "at": accepted})
    return [_outcome(letter, sent[letter.recipient], timelines, wakes) for letter in wanted]


def table(outcomes: Iterable[Outcome]) -> str:
    """Return the outcomes as text, one line each, with medians below."""
    rows: list[tuple[str, ...]] = [("AGENT", "HOST", "FROM", "COMMITTED", "PUSHED", "WOKEN")]
    figures: list[tuple[float | None, ...]] = []
    for outcome in outcomes:
        letter = outcome.letter
        times = (outcome.committed_ms, outcome.pushed_ms, outcome.woken_ms)
        figures.append(times)
        shown = tuple("-" if ms is None else f"{ms:.1f} ms" for ms in times)
        rows.append((letter.recipient, letter.host, letter.sender, *shown))
    medians = [_median([row[i] for row in figures if row[i] is not None]) for i in range(3)]
    rows.append(("median", "", "", *medians))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return "\n".join(
        "  ".join(
            [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
            + [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
        ).rstrip()
        for row in rows
    )


def _median(values: Sequence[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    return f"{known[len(known) // 2]:.1f} ms" if known else "-"


def _outcome(
    letter: Letter,
    sent: Mapping[str, Any],
    timelines: Mapping[str, Mapping[str, Any]],
    wakes: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Outcome:
    stamps = timelines.get(letter.recipient, {})
    stored, pushed = (_epoch(stamps.get(key)) for key in ("stored_at", "pushed_at"))
    at_home = [w["at"] for w in wakes[letter.host] if w["agent"] == letter.recipient]
    woken = min((at for at in at_home if at >= sent["at"]), default=None)
    elsewhere = [
        host
        for host, records in wakes.items()
        if host != letter.host and any(w["agent"] == letter.recipient for w in records)
    ]
    trouble = ""
    if sent["error"] or not sent["id"]:
        trouble = f"could not be written to: {sent['error']}"
    elif woken is None:
        trouble = f"was not woken within {WAKE_TIMEOUT_S} s"
    elif elsewhere:
        trouble = f"was also woken on {', '.join(elsewhere)}"
    return Outcome(
        letter,
        committed_ms=_between(sent["at"], stored),
        pushed_ms=_between(stored, pushed),
        woken_ms=_between(pushed, woken),
        trouble=trouble,
    )


def _between(start: float | None, end: float | None) -> float | None:
    """Return the milliseconds between two times; the hub rounds its stamps to milliseconds."""
    return None if start is None or end is None else max(0.0, (end - start) * 1000)


def _epoch(stamp: str | None) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if stamp else None


def _send(fleet: Fleet, who: Census, host: str, wanted: Sequence[Letter]) -> list[dict[str, Any]]:
    mine = [
        {
            "sender": letter.sender,
            "recipient": letter.recipient,
            "body": f"Roll call: {letter.sender} on {letter.sender_host} greets you.",
        }
        for letter in wanted
        if letter.sender_host == host
    ]
    out = _on_host(fleet, host, SENDER, mine, user=who.users[host])
    return [json.loads(line) for line in out.splitlines()]


def _listen(
    fleet: Fleet,
    who: Census,
    host: str,
    *,
    since: float,
    sent: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the host's wakes since then, once each of its agents was woken for its letter."""
    expected = {
        agent: sent[agent]["at"] for agent in who.agents[host] if agent not in who.commanded
    }
    asked = [expected, since, who.gateways[host]]
    heard: list[dict[str, Any]] = json.loads(
        _on_host(fleet, host, LISTENER % WAKE_TIMEOUT_S, asked)
    )
    return heard


def _on_host(fleet: Fleet, host: str, program: str, given: object, *, user: str = "") -> str:
    """Run a Python program on a host, its input as JSON; return what it printed."""
    command = f"python3 -c {shlex.quote(program)}"
    if user:
        command = f"sudo runuser -u {shlex.quote(user)} -- {command}"
    result = subprocess.run(
        [*ssh_command(spec_of(fleet, host)), command],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise LabError(f"{host} cannot take part in the roll call:\n{result.stderr.strip()}")
    return result.stdout


def _timelines(
    fleet: Fleet, who: Census, sent: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return each recipient's stamps, after waiting for those that the hub writes later."""
    hub = LabHub(fleet.name, spec_of(fleet, who.hub).address, who.port, ca=who.ca)
    found = {}
    for entry in sent:
        recipient, deadline = entry["recipient"], time.monotonic() + 3
        awaited = "accepted_at" if recipient in who.commanded else "pushed_at"
        while entry["id"]:
            found[recipient] = hub.get(f"/api/messages/{entry['id']}")["deliveries"][0]
            if found[recipient][awaited] or time.monotonic() > deadline:
                break
            time.sleep(0.1)
    return found
