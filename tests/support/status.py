"""What `playbooks/status.yml` prints and what the page shows, as rows that can be compared."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Shown:
    """What an operator is shown: `agents` in the order that they stand in, hosts, alerts.

    An agent's row: host, state, unread, oldest unread, last wake, watcher's release, hold. A
    host's: whether its watcher is connected and whether its gateway answers.
    """

    agents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)


def printed(text: str) -> Shown:
    """What the playbook printed."""
    shown = Shown()
    table = ""
    for line in (one.strip() for one in text.splitlines()):
        heading = re.match(r"(HOST|AGENT) +[A-Z]+ ", line)
        alert = re.match(r"(?:CRITICAL|WARNING) .* \((AgentBus\w+)\)$", line)
        if heading:
            table = heading[1]
        elif not line:
            table = ""
        elif alert:
            shown.alerts.append(alert[1])
        elif table == "HOST":
            name, _, watcher, gateway, *_ = line.split()
            if watcher != "-":  # a host without agents, which the page leaves out
                reachable = "gateway-down" if gateway == "SILENT" else "online"
                away = "guest" if watcher == "guest" else "offline"
                shown.hosts[name] = reachable if watcher == "connected" else away
        elif table == "AGENT":
            name, host, status, unread, _, oldest, wake, release, *muted = line.split()
            if status == "guest":  # has no release, and was seen at some time
                release, muted = "", []
            row = (
                host,
                status,
                unread,
                oldest,
                wake,
                release,
                muted[0].strip("()") if muted else "",
            )
            shown.agents[name] = tuple("" if cell == "-" else cell for cell in row)
    return shown


def on_page(html: str) -> Shown:
    """What the first paint of the fleet's page shows."""
    reader = _Reader()
    reader.feed(html)
    wanted = [
        "node",
        "status",
        "unread",
        "oldest_unread_at",
        "last_wake_at",
        "watcher_version",
        "held",
    ]
    for name, cells in reader.rows:
        if name:  # not the template of a row
            row = (cells.get(cell, "").strip() for cell in wanted)
            reader.shown.agents[name] = tuple("" if cell == "–" else cell for cell in row)  # noqa: RUF001 - as the page has it
    return reader.shown


class _Reader(HTMLParser):
    """Collects rows of agents (`data-f` cells, times as they are in `datetime`), hosts, alerts."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = Shown()
        self.rows: list[tuple[str, dict[str, str]]] = []
        self._cell: str | None = None
        self._place = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "tr" and "data-agent" in given:
            self.rows.append((given["data-agent"], {}))
        elif tag in {"tr", "button", "template"}:
            self._cell = None
        elif tag == "time" and self._cell and self.rows:
            self.rows[-1][1][self._cell] = given["datetime"]
            self._cell = None
        elif "data-f" in given:
            self._cell = None if "hidden" in given else given["data-f"]
        elif tag == "li" and "data-node" in given:
            self._place = given["data-node"]
        elif tag == "span" and self._place:
            self.shown.hosts[self._place] = given["data-state"]
            self._place = ""

    def handle_data(self, data: str) -> None:
        if found := re.fullmatch(r"AgentBus\w+", data.strip()):
            self.shown.alerts.append(found[0])
        if self._cell and self.rows and data.strip():
            self.rows[-1][1].setdefault(self._cell, data)
            self._cell = None
