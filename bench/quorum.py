"""Three PostgreSQL servers on this machine: a primary, and two standbys of which one must confirm.

They share one disk, so a commit costs three syncs of that disk. On three machines it costs two in
a row and a round trip.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from tests.support import guard, postgres
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT: Final = 3
NAMES: Final = tuple(f"member{number}" for number in range(COUNT))
SETTINGS: Final = f"""
wal_level = replica
max_wal_senders = 8
synchronous_standby_names = 'ANY 1 ({", ".join(NAMES)})'
"""
STREAMING: Final = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
RECEIVED: Final = "SELECT pg_last_wal_receive_lsn() - '0/0'"
FOLLOW: Final = "ALTER SYSTEM SET primary_conninfo = '{}'"


class Quorum:
    """The three servers; the first one is the primary at the start."""

    def __init__(self, mark: str) -> None:
        self.members = [
            postgres.Server(
                postgres.TEMPORARY / f"agent-bus-postgres-{mark}-{name}",
                fsync=True,
                settings=SETTINGS,
            )
            for name in NAMES
        ]

    @property
    def url(self) -> str:
        """Of a database, with all three hosts."""
        hosts = ",".join(str(one.folder) for one in self.members)
        return f"postgresql://postgres@/postgres?host={hosts}"

    def start(self) -> None:
        """Start all three; returns when both standbys follow."""
        primary, *standbys = self.members
        primary.start()
        for server, name in zip(standbys, NAMES[1:], strict=True):
            server.start_as_standby(primary, name)
        _wait_for_standbys(primary, len(standbys))

    def pids(self) -> list[int]:
        """All of their processes."""
        return [pid for one in self.members for pid in one.pids()]

    def kill_primary(self) -> None:
        """SIGKILL for the first one."""
        self.members[0].kill()

    def fail_over(self) -> None:
        """Promote the standby that has more, and let the other one follow it."""
        first, second = sorted(self.members[1:], key=_received, reverse=True)
        with second.connect() as connection:
            name = NAMES[self.members.index(second)]
            source = f"host={first.folder} user=postgres application_name={name}"
            connection.execute(FOLLOW.format(source))
            connection.execute("SELECT pg_reload_conf()")
        first.promote()


def _received(server: postgres.Server) -> int:
    with server.connect() as connection:
        (found,) = connection.execute(RECEIVED).fetchone()
    return int(found)


def _wait_for_standbys(primary: postgres.Server, count: int) -> None:
    with primary.connect() as connection:
        wait_until(
            lambda: connection.execute(STREAMING).fetchone() == (count,), "the standbys follow"
        )


@contextlib.contextmanager
def quorum() -> Iterator[Quorum]:
    """All three, running; they end with this process."""
    made = Quorum(guard.mark())
    made.start()
    yield made
