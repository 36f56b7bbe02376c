"""Opens connections, for native threads only: they wait in C, which would stop the loop.

A connect costs tens of milliseconds of CPU with TLS and SCRAM, and seconds with a dead host.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.abc import PQGen

    from agent_bus.store.postgres.link.address import Address

T = TypeVar("T")

TIMELINE: Final = (
    "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
)
"""Of a primary: one more after each takeover. A standby cannot answer this."""
FACTS: Final = (
    "SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'synchronous_commit',"
    " 'synchronous_standby_names', 'fsync', 'full_page_writes') ORDER BY name"
)
TUNED: Final = (
    # Every statement goes by an index, and is planned once, before there are statistics.
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;"
    " SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off;"
    " SET random_page_cost = 1.1; SET jit = off"
)
SET_LOCK_TIMEOUT: Final = "SELECT set_config('lock_timeout', %s, false)"
"""A little less than this side waits: a session that was given up must not stay in the queue for
`head`, where one more would come with every attempt."""
READ_ONLY: Final = "SET default_transaction_read_only = on"
NO_ANSWER: Final = "wait timeout expired"
"""psycopg's words for a server that takes too long."""
EPOCH: Final = "SELECT value FROM meta WHERE key = 'epoch'"


class NativeConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection for one native thread at a time.

    Attributes:
        patience_s: how long one wait for the server may last; None: for ever. Past it the
            connection is of no more use, and `psycopg.OperationalError` is raised.
    warnings: what the server warned of since the list was emptied.
    """

    patience_s: float | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - psycopg's own
        super().__init__(*arguments, **more)
        self.warnings: list[str] = []
        self.add_notice_handler(self._note)

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait in C, without the interpreter lock: half the cost of gevent's way."""
        patience_s = self.patience_s if timeout is None else timeout
        socket = self.pgconn.socket
        try:
            found: T = waiting.wait_c(gen, socket, interval=interval, timeout=patience_s)
        except psycopg.OperationalError as error:
            if timeout is None and str(error) == NO_ANSWER:
                self.drop()  # or the end of a pipeline would wait as long once more
            raise
        return found

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        """Keep warnings: one during a commit says that it may not be replicated."""
        if notice.severity_nonlocalized == "WARNING":
            self.warnings.append(notice.message_primary or "")

    def drop(self) -> None:
        """Close the socket at once, whatever is under way; never cancels, never waits."""
        self.pgconn.finish()


@dataclass(frozen=True, slots=True)
class Primary:
    """An open connection to a server that takes writes; `host` is its place in the URL."""

    connection: NativeConnection
    host: int
    timeline: int


@dataclass(frozen=True, slots=True)
class Lead:
    """Where the writer found the primary: its host's place in the URL, and its timeline.

    `number` counts how often it has looked.
    """

    number: int = 0
    host: int = 0
    timeline: int = 0


def to_primary(
    address: Address, *, first: int = 0, timeline: int = 0, patience_s: float | None = None
) -> Primary:
    """A connection to the first host, from `first` on, that takes writes.

    A server of a timeline before `timeline` is a deposed primary that does not know it yet: it
    takes writes, and can never commit them.

    Raises:
        psycopg.OperationalError: no host takes writes; the text names each.
    """
    hosts = address.hosts()
    failures: list[str] = []
    for number in ((first + step) % len(hosts) for step in range(len(hosts))):
        try:
            connection = _connect({**hosts[number], "target_session_attrs": "read-write"})
            with _dropped_on_failure(connection):
                connection.patience_s = patience_s
                connection.execute(TUNED)
                if patience_s is not None:
                    connection.execute(SET_LOCK_TIMEOUT, (f"{int(patience_s * 800)}ms",))
                found = int(one(connection, TIMELINE))
        except psycopg.Error as error:
            failures.append(f"{hosts[number].get('host', 'local')}: {str(error).strip()}")
            continue
        if found >= timeline:
            return Primary(connection, number, found)
        connection.drop()
        failures.append(f"{hosts[number].get('host', 'local')}: it was primary before another one")
    raise psycopg.OperationalError("; ".join(failures))


@contextlib.contextmanager
def _dropped_on_failure(connection: NativeConnection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.drop()
        raise


def to_reader(
    address: Address, *, first: int = 0, timeline: int = 0, patience_s: float | None = None
) -> tuple[NativeConnection, bool]:
    """A connection that only reads, and whether it is the primary's.

    Without a primary, from `first` on, of `timeline` or later, it is any host's.

    Raises:
        psycopg.OperationalError: no host answers.
    """
    hosts = address.hosts()
    in_turn = [hosts[(first + step) % len(hosts)] for step in range(len(hosts))]
    failure: psycopg.Error | None = None
    for wanted in ("primary", "any"):
        for host in in_turn:
            try:
                connection = _connect({**host, "target_session_attrs": wanted})
                with _dropped_on_failure(connection):
                    connection.patience_s = patience_s
                    if wanted == "primary" and int(one(connection, TIMELINE)) < timeline:
                        connection.drop()
                        continue
                    connection.execute(f"{READ_ONLY}; {TUNED}")
            except psycopg.Error as error:
                failure = error
                continue
            return connection, wanted == "primary"
    raise psycopg.OperationalError(str(failure).strip())


def facts(connection: NativeConnection) -> dict[str, object]:
    """What the server runs with."""
    return {str(name): value for name, value in connection.execute(FACTS)}


def one(connection: psycopg.Connection[Any], sql: str, values: Sequence[object] = ()) -> Any:  # noqa: ANN401 - a column of any type
    """The first column of the first row."""
    row = connection.execute(sql, values).fetchone()
    return None if row is None else row[0]


def _connect(parameters: dict[str, str | int]) -> NativeConnection:
    return NativeConnection.connect("", autocommit=True, **parameters)  # type: ignore[arg-type] # libpq's names
