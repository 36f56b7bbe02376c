"""Traffic between the hosts of a running fleet, and the notes that it keeps there."""

from __future__ import annotations

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lab.paths import ROOT
from lab.probe.running import until
from lab.traffic.ledger import Accepted, Delivery, Heard, deliveries_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.probe.running import RunningFleet

PROGRAM = "/usr/local/lib/lab-traffic.py"
STATE = "/var/lib/lab-traffic"
PAGE = 500
UNIT = """\
[Unit]
Description=Traffic of this host (lab only)
StartLimitIntervalSec=0

[Service]
User={user}
StateDirectory=lab-traffic
ExecStart=/usr/bin/python3 {program} run --state {state} --senders {senders} --to {to}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""
INSTALL = """\
import json, pathlib, subprocess, sys
files = json.load(sys.stdin)
for path, text in files.items():
    pathlib.Path(path).write_text(text)
    pathlib.Path(path).chmod(0o644)  # whatever the host's umask is
subprocess.run(["systemctl", "daemon-reload"], check=True)
subprocess.run(["systemctl", "enable", "--quiet", "--now", "lab-traffic"], check=True)
"""


class Traffic:
    """A sender by command line, one by HTTP, and a listener on every host with agents."""

    def __init__(self, running: RunningFleet) -> None:
        self._running = running

    def start(self) -> None:
        """Install and start it; it comes back by itself, whatever happens to its host.

        Raises:
            AssertionError: a host has no stream after a minute.
        """
        self._everywhere(self._install)
        until(self._all_listen, what="every host listens before anything is sent")
        self._everywhere(lambda host: self._running.on(host, f"sudo touch {STATE}/go"))

    def _all_listen(self) -> bool:
        return all(self._running.on_nodes(f"cat {STATE}/heard.jsonl || true").values())

    def stop(self) -> None:
        """Stop it; its notes stay."""
        self._everywhere(
            lambda host: self._running.on(host, "sudo systemctl disable --quiet --now lab-traffic")
        )

    def fill(self, host: str) -> dict[str, Any]:
        """Send large messages from a host until the hub refuses one; return what it answered."""
        senders = " ".join(self._running.who.speakers[host])
        command = f"python3 {PROGRAM} fill --senders {senders}"
        answer: dict[str, Any] = json.loads(self._running.as_user(host, command))
        return answer

    def accepted(self) -> list[Accepted]:
        """Return the messages that the senders of all hosts got accepted.

        Raises:
            AssertionError: a message was refused for good.
        """
        lines = [
            line for kind in ("cli", "http") for line in self._notes(f"accepted-{kind}.jsonl")
        ]
        assert [line for line in lines if "refused" in line] == []
        return [Accepted(line["body"], line["to"], line["at"], line["tries"]) for line in lines]

    def heard(self) -> list[Heard]:
        """Return what the streams of all hosts carried."""
        return [
            Heard(line["body"], line["to_agent"], line["seq"])
            for line in self._notes("heard.jsonl")
            if "body" in line
        ]

    def stored(self) -> list[Delivery]:
        """Return all that the hub has stored."""
        return deliveries_of(self._history())

    def _history(self) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            page = self._running.api(f"/api/history?order=asc&limit={PAGE}{cursor}")
            yield from page["messages"]
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"

    def _notes(self, name: str) -> list[dict[str, Any]]:
        answers = self._running.on_nodes(f"cat {STATE}/{name} 2>/dev/null || true")
        return [json.loads(line) for text in answers.values() for line in text.splitlines()]

    def _install(self, host: str) -> None:
        agents = self._running.who.speakers
        others = [name for other, names in agents.items() if other != host for name in names]
        unit = UNIT.format(
            user=self._running.who.users[host],
            program=PROGRAM,
            state=STATE,
            senders=" ".join(agents[host]),
            to=" ".join(others),
        )
        program = (ROOT / "lab" / "traffic" / "program.py").read_text()
        files = {PROGRAM: program, "/etc/systemd/system/lab-traffic.service": unit}
        command = f"sudo python3 -c {shlex.quote(INSTALL)}"
        self._running.on(host, command, stdin=json.dumps(files))

    def _everywhere(self, call: Any) -> None:  # noqa: ANN401 - a function of a host
        with ThreadPoolExecutor(max_workers=len(self._running.nodes)) as pool:
            list(pool.map(call, self._running.nodes))
