"""What runs out: certificates, room on the disk, old tokens, backups, the archive.

Each is looked at here, once, for all who tell of it: metrics, alerts, `GET /api/stats`, the
dashboard, `playbooks/status.yml`. Keys of apt are not among them: hosts install nothing from a
repository.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors
from agent_bus.core.clock import DAY_MS
from agent_bus.core.model import rfc3339
from agent_bus.operate.backups import newest_at
from agent_bus.runtime import certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Ages
    from agent_bus.settings import Settings
    from agent_bus.store.contract import Vitals

logger = logging.getLogger(__name__)

SAMPLE_S: Final = 60.0
SAMPLES: Final = 360
"""Six hours of free room, one figure per minute: as far as the rule for Prometheus looks back."""
TREND_S: Final = 3600.0
"""A shorter time says nothing about how fast the disk fills: a backup looks like minutes."""
CERTIFICATES: Final = {
    "hub": "Certificate",
    "authority": "Certificate of the authority",
    "database": "Certificate of the database",
}
ADMIN: Final = "(admin)"
"""Stands among the nodes for the admin token, as `agent NAME` does for an agent's own."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """As of now; times in milliseconds since 1970.

    `certificates` maps `hub`, `authority` and `database` to when each ends, `rotating` maps a
    node, or `agent NAME`, to since when it has two valid tokens. Without a backup `backup_at` is
    None; `begun_at` is when the first agents were registered. `disk_full_at` is estimated from
    the last hours, and None while the free room does not shrink.
    """

    now: int
    certificates: Mapping[str, int]
    disk_free_bytes: int
    disk_total_bytes: int
    disk_full_at: int | None
    rotating: Mapping[str, int]
    backup_at: int | None
    begun_at: int | None
    archived_at: int | None
    retain_archive_ms: int

    @property
    def backup_age_s(self) -> float:
        """Age of the newest backup; without one, of what there is to back up."""
        since = self.begun_at if self.backup_at is None else self.backup_at
        return 0.0 if since is None else max(0, self.now - since) / 1000

    @property
    def archive_age_s(self) -> float:
        """How long the oldest archived message has been in the archive; 0 without one."""
        return 0.0 if self.archived_at is None else max(0, self.now - self.archived_at) / 1000


class Reserves:
    """Looks at what runs out.

    Args:
        admin_tokens: how many admin tokens are valid.
        backup_elsewhere: when the newest backup on another hub was made.
    """

    def __init__(
        self,
        *,
        vitals: Vitals,
        directory: Directory,
        clock: Clock,
        settings: Settings,
        admin_tokens: int,
        backup_elsewhere: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._vitals = vitals
        self._directory = directory
        self._clock = clock
        self._folder = settings.folder
        self._backups_folder = settings.backups_folder
        self._backup_elsewhere = backup_elsewhere
        self._retain_archive_ms = int(settings.retain_archive_days * DAY_MS)
        self._has_two_admins = admin_tokens > 1
        self._begun = clock.now_ms()
        self._room: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self._database = settings.database_certificate_file
        self._database_read = 0
        self._database_ends: dict[str, int] = {}
        self._certificates = _ends(
            {"hub": settings.tls_certificate_file, "authority": settings.tls_ca_file}
        )

    def look(self) -> Remaining:
        """The figures; blocks the greenlet for one read of the database."""
        clock = self._clock
        ages = self._vitals.ages()
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        now = clock.now_ms()
        return Remaining(
            now=now,
            certificates={**self._certificates, **self._of_database()},
            disk_free_bytes=free,
            disk_total_bytes=disk.f_blocks * disk.f_frsize,
            disk_full_at=self._full_at(free, now),
            rotating=self._rotating(ages),
            backup_at=self._backup_at(),
            begun_at=ages.begun_at,
            # the steady clock archives, which a set clock does not move
            archived_at=None if ages.archived_at is None
            else now - max(0, clock.steady_ms() - ages.archived_at),
            retain_archive_ms=self._retain_archive_ms,
        )  # fmt: skip

    def _backup_at(self) -> int | None:
        found = (newest_at(self._backups_folder), self._backup_elsewhere())
        return max((at for at in found if at is not None), default=None)

    def _of_database(self) -> dict[str, int]:
        """When the certificate of the database's member ends; renewed while the hub runs."""
        if self._database is not None:
            try:
                changed = self._database.stat().st_mtime_ns
            except OSError:
                changed = -1
            if changed != self._database_read:
                self._database_read = changed
                self._database_ends = _ends({"database": self._database})
        return self._database_ends

    def _rotating(self, noted: Ages) -> dict[str, int]:
        roster = self._directory.roster
        found = {
            str(node): noted.rotating.get(node, self._begun)
            for node, digests in sorted(roster.tokens.items())
            if len(digests) > 1
        }
        found |= {
            f"agent {name}": noted.rotating_agents.get(name, self._begun)
            for name, digests in sorted(roster.agent_tokens.items())
            if len(digests) > 1
        }
        return {ADMIN: self._begun, **found} if self._has_two_admins else found

    def _full_at(self, free: int, now: int) -> int | None:
        at = self._clock.monotonic()
        if not self._room or at - self._room[-1][0] >= SAMPLE_S:
            self._room.append((at, free))
        then, room = self._room[0]
        if at - then < TREND_S or free >= room:
            return None
        left_s = free * (at - then) / (room - free)
        return now + int(left_s * 1000)


def words(of: Remaining) -> list[str]:
    """The figures in words, one line each."""
    told = [
        f"{CERTIFICATES[name]}: until {_day(at)} ({_span(at - of.now)})"
        for name, at in of.certificates.items()
    ]
    room = f"Disk: {of.disk_free_bytes / 1e9:.1f} GB of {of.disk_total_bytes / 1e9:.1f} GB free"
    if of.disk_full_at is not None:
        room += f", at the last hours' pace for {_span(of.disk_full_at - of.now)}"
    told.append(room)
    if of.backup_at is None:
        told.append("Backup: none on the hub")
    else:
        told.append(f"Backup: {_day(of.backup_at)} ({_span(of.now - of.backup_at)} ago)")
    days = of.retain_archive_ms / DAY_MS
    if of.archived_at is not None:
        told.append(f"Archive: from {_day(of.archived_at)} on, kept for {days:g} days")
    told += [
        f"Tokens: the old one of {node} is accepted beside the new, since {_day(at)}"
        for node, at in of.rotating.items()
    ]
    return told


def facts(of: Remaining) -> dict[str, Any]:
    """The figures as `GET /api/stats` tells them."""
    return {
        "certificates": [
            {"name": name, "expires_at": rfc3339(at)} for name, at in of.certificates.items()
        ],
        "disk": {
            "free_bytes": of.disk_free_bytes,
            "total_bytes": of.disk_total_bytes,
            "full_at": rfc3339(of.disk_full_at),
        },
        "backup_at": rfc3339(of.backup_at),
        "archive": {
            "oldest_at": rfc3339(of.archived_at),
            "retain_days": of.retain_archive_ms / DAY_MS,
        },
        "rotating": [{"node": node, "since": rfc3339(at)} for node, at in of.rotating.items()],
        "words": words(of),
    }


def _ends(files: Mapping[str, Path | None]) -> dict[str, int]:
    """When the certificates end; an unreadable one is left out, and the hub still starts."""
    found = {}
    for name, path in files.items():
        try:
            if path is not None:
                found[name] = certificate.expires_at(path)
        except errors.StartupError as error:
            logger.warning("The end of a certificate is unknown: %s", error)
    return found


def _day(at: int) -> str:
    return (rfc3339(at) or "")[:10]


def _span(ms: int) -> str:
    """A length of time in days, or in hours when it is short."""
    if ms < 0:
        return "over"
    if ms < 2 * DAY_MS:
        return f"{ms / 3_600_000:.0f} hours"
    return f"{ms // DAY_MS} days"
