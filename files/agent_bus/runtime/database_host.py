"""Asks the Patroni and the etcd of the hub's own host how they are, and reads their answers.

Both are asked without a secret: Patroni's questions are open to who reaches its port, etcd tells
its health and figures on loopback (decision 49).
"""

from __future__ import annotations

import json
import re
import ssl
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_S: Final = 2.0
"""For each byte of an answer; it is the own host, so one that takes longer hangs."""
ANSWER_BYTES: Final = 4 * 1024 * 1024
LEADERS: Final = frozenset({"leader", "master", "primary", "standby_leader"})
SYNC: Final = frozenset({"sync_standby", "quorum_standby"})
RUNNING: Final = frozenset({"running", "streaming"})
SAMPLE: Final = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PatroniMember:
    """A member of the database as a Patroni tells of it; `host` is where PostgreSQL listens."""

    name: str
    host: str | None
    is_leader: bool
    is_sync: bool
    state: str
    timeline: int | None
    lag_bytes: int | None

    @property
    def runs(self) -> bool:
        """Whether its PostgreSQL runs, and follows if it is a standby."""
        return self.state in RUNNING


@dataclass(frozen=True, slots=True)
class Etcd:
    """The etcd of one host, as it says itself; `is_healthy` needs a leader and room."""

    is_healthy: bool
    has_leader: bool
    is_leader: bool
    size_bytes: int
    quota_bytes: int


@dataclass(frozen=True, slots=True)
class Host:
    """What the programs of one host say; None of a program that does not answer.

    `members` is what Patroni read in etcd; `own` is the member of this host.
    """

    members: tuple[PatroniMember, ...] | None = None
    own: PatroniMember | None = None
    etcd: Etcd | None = None
    is_paused: bool = False


class OwnHost:
    """Asks; each call blocks its greenlet for some seconds at most.

    Args:
        name: of the member on this host.
        patroni_url: None: there is no Patroni.
        patroni_ca_file: the authority behind its certificate.
        etcd_metrics_url: None: there is no etcd.
    """

    def __init__(
        self,
        name: str,
        patroni_url: str | None,
        patroni_ca_file: Path | None,
        etcd_metrics_url: str | None,
    ) -> None:
        self._name = name
        self._patroni = patroni_url
        self._etcd = etcd_metrics_url
        self._context: ssl.SSLContext | None = None
        if patroni_url is not None and patroni_url.startswith("https"):
            self._context = ssl.create_default_context(cafile=patroni_ca_file)

    @property
    def is_known(self) -> bool:
        """Whether there is anything to ask."""
        return self._patroni is not None or self._etcd is not None

    def ask(self) -> Host:
        """What both say now."""
        members, own, is_paused = None, None, False
        if self._patroni is not None:
            said = self._json(f"{self._patroni}/cluster")
            if said is not None:
                members, is_paused = patroni_members(said), bool(said.get("pause"))
                own = next((one for one in members if one.name == self._name), None)
            else:  # without etcd's majority it knows itself alone
                alone = self._json(f"{self._patroni}/patroni")
                own = None if alone is None else patroni_itself(self._name, alone)
        return Host(members, own, self._ask_etcd(), is_paused)

    def _ask_etcd(self) -> Etcd | None:
        if self._etcd is None:
            return None
        figures = self._get(f"{self._etcd}/metrics")
        health = self._json(f"{self._etcd}/health") if figures is not None else None
        if figures is None:
            return None
        return etcd_of(figures, is_healthy=str((health or {}).get("health")).lower() == "true")

    def _json(self, url: str) -> dict[str, Any] | None:
        text = self._get(url)
        try:
            found = None if text is None else json.loads(text)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _get(self, url: str) -> str | None:
        """The body of an answer of any status; None without one."""
        parts = urlsplit(url)
        connection: HTTPConnection
        if parts.scheme == "https":
            connection = HTTPSConnection(parts.netloc, timeout=ANSWER_S, context=self._context)
        else:
            connection = HTTPConnection(parts.netloc, timeout=ANSWER_S)
        try:
            with closing(connection):
                connection.request("GET", parts.path)
                return connection.getresponse().read(ANSWER_BYTES).decode("utf-8", "replace")
        except (OSError, HTTPException):
            return None


def patroni_members(said: dict[str, Any]) -> tuple[PatroniMember, ...]:
    """The members in an answer of `/cluster`, by name."""
    found = said.get("members")
    members = [_member(one) for one in found if isinstance(one, dict)] if found else []
    return tuple(sorted(members, key=lambda one: one.name))


def patroni_itself(name: str, said: dict[str, Any]) -> PatroniMember:
    """The member in an answer of `/patroni`; it says nothing of its host and its lag."""
    return PatroniMember(
        name=name,
        host=None,
        is_leader=str(said.get("role")) in LEADERS,
        is_sync=bool(said.get("sync_standby") or said.get("quorum_standby")),
        state=str(said.get("replication_state") or said.get("state") or "not known"),
        timeline=_number(said.get("timeline")),
        lag_bytes=None,
    )


def etcd_of(figures: str, *, is_healthy: bool) -> Etcd:
    """The etcd that tells these figures (Prometheus's text) and this health."""
    found = {name: float(value) for name, value in SAMPLE.findall(figures)}
    return Etcd(
        is_healthy=is_healthy,
        has_leader=found.get("etcd_server_has_leader", 0) > 0,
        is_leader=found.get("etcd_server_is_leader", 0) > 0,
        size_bytes=int(found.get("etcd_mvcc_db_total_size_in_bytes", 0)),
        quota_bytes=int(found.get("etcd_server_quota_backend_bytes", 0)),
    )


def _member(said: dict[str, Any]) -> PatroniMember:
    role = str(said.get("role"))
    host = said.get("host")
    return PatroniMember(
        name=str(said.get("name")),
        host=None if host is None else str(host),
        is_leader=role in LEADERS,
        is_sync=role in SYNC,
        state=str(said.get("state") or "not known"),
        timeline=_number(said.get("timeline")),
        lag_bytes=_number(said.get("lag")),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
