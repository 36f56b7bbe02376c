"""Messages that were sent while the hub was away: a folder shared by command line and watcher.

One file per message, named so that the order of names is the order of sending.
"""

from __future__ import annotations

import json
import os
import stat

from agent_bus_client.errors import ClientError
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Optional

    from agent_bus_client.outbox.clock import Clock

MAX_WAITING = 1000  # per node; past it a send is refused: something has been wrong for long
TO_SENDER_OF = "to_sender_of"  # in a request: a reply whose recipient the hub could not name yet


class Entry(Record):
    """One waiting or failed message.

    Attributes:
        created_at: by the wall clock.
        request: the body of `POST /api/send`.
        boot, counted_at: in which boot it was made, and how many seconds after it.
        maybe_sent: the hub may have it, because an earlier try got no answer.
        written_by: the user (number) that alone could write the file; None: others could, too.
    """

    path: str
    key: str
    created_at: float
    request: dict[str, Any]
    reason: str = ""
    boot: str = ""
    counted_at: float = 0.0
    maybe_sent: bool = False
    written_by: Optional[int] = None

    @property
    def name(self) -> str:
        """The file's own."""
        return os.path.basename(self.path)

    @property
    def sender(self) -> str:
        """The agent that sent it."""
        return str(self.request.get("from", ""))

    @property
    def recipient(self) -> str:
        """Whom it is for, in words."""
        if TO_SENDER_OF in self.request:
            return f"the sender of {self.request[TO_SENDER_OF]}"
        to = self.request.get("to", "everybody")
        return ", ".join(to) if isinstance(to, list) else str(to)


class Outbox:
    """The folder; every method may be called from several processes at once."""

    def __init__(self, folder: str | PathLike[str], *, clock: Clock | None = None) -> None:
        self.folder = os.fspath(folder)
        self._own_clock = clock

    def add(self, key: str, request: dict[str, Any], *, maybe_sent: bool = False) -> Entry:
        """Store one message durably.

        Raises:
            ClientError: the outbox is full.
            OSError: it cannot be written.
        """
        names = _names(self.folder, ".json")
        if len(names) >= MAX_WAITING:
            raise ClientError(
                f"{self.folder} holds {MAX_WAITING} messages: the hub has been away for long"
            )
        clock = self._clock
        entry = Entry(
            f"{self.folder}/{_place(names, clock.wall()):020d}-{_file_word(key)}.json",
            key,
            clock.wall(),
            request,
            boot=clock.boot(),
            counted_at=clock.counted(),
            maybe_sent=maybe_sent,
        )
        self._write(entry.path, entry)
        return entry

    def note_maybe_sent(self, entry: Entry) -> None:
        """Remember that the hub may have it; if that cannot be written, no harm is done.

        It is sent again under its key in any case. But if it is given up, nobody must say that it
        was not delivered.
        """
        if not entry.maybe_sent:
            try:
                self._write(entry.path, entry.replaced(maybe_sent=True))
            except OSError:
                pass

    def age_s(self, entry: Entry) -> float:
        """Return how long ago a message was made."""
        if entry.boot and entry.boot == self._clock.boot():
            return self._clock.counted() - entry.counted_at
        return self._clock.wall() - entry.created_at

    def is_empty(self) -> bool:
        """Tell whether nothing waits, which costs less than to read what does."""
        return not _names(self.folder, ".json")

    def waiting(self) -> list[Entry]:
        """Return what waits, oldest first."""
        return self._read(self.folder)

    def failed(self) -> list[Entry]:
        """Return what was given up, oldest first."""
        return self._read(f"{self.folder}/failed")

    def remove(self, entry: Entry) -> None:
        """Remove a message that was sent or shown."""
        try:
            os.unlink(entry.path)
        except FileNotFoundError:
            pass  # the other program was quicker

    def told(self, entry: Entry) -> None:
        """Note that the sender has heard of this failed message; now only `doctor` shows it.

        Raises:
            FileNotFoundError: another program has told the sender.
            OSError: it cannot be marked.
        """
        os.rename(entry.path, f"{entry.path.removesuffix('.json')}.told")

    def told_count(self) -> int:
        """Return how many failed messages their senders have heard of."""
        return len(_names(f"{self.folder}/failed", ".told"))

    def give_up(self, entry: Entry, reason: str) -> None:
        """Move a message to `failed/` with the reason.

        Raises:
            OSError: it cannot be moved and waits as before.
        """
        folder = f"{self.folder}/failed"
        umask = os.umask(0o002)  # as for the files; the parent folder lets nobody else in
        try:
            os.mkdir(folder, mode=0o775)
        except FileExistsError:
            pass  # since the first one that failed
        finally:
            os.umask(umask)
        target = f"{folder}/{entry.name}"
        self._write(target, entry.replaced(path=target, reason=reason))
        self.remove(entry)

    @property
    def _clock(self) -> Clock:
        """The clock, which is the machine's unless another was given."""
        if self._own_clock is None:
            from agent_bus_client.outbox.clock import MACHINE  # only mail that waits needs it

            self._own_clock = MACHINE
        return self._own_clock

    @staticmethod
    def _write(path: str, entry: Entry) -> None:
        raw = {
            "key": entry.key,
            "created_at": entry.created_at,
            "request": entry.request,
            "reason": entry.reason,
            "boot": entry.boot,
            "counted_at": entry.counted_at,
            "maybe_sent": entry.maybe_sent,
        }
        # a name that nobody else uses
        temporary = f"{os.path.dirname(path)}/{os.getpid()}-{os.urandom(4).hex()}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            with os.fdopen(os.open(temporary, flags, 0o644), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o644)  # a shell's umask would lock the watcher out
                json.dump(raw, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            _remove_quietly(temporary)
            raise

    @staticmethod
    def _read(folder: str) -> list[Entry]:
        entries = []
        for name in _names(folder, ".json"):
            path = f"{folder}/{name}"
            try:
                with open(path, encoding="utf-8", opener=_open_plainly) as file:
                    written_by = _only_writer(os.fstat(file.fileno()))
                    raw = json.load(file)
                request = dict(raw["request"])
                entry = Entry(
                    path,
                    raw["key"],
                    raw["created_at"],
                    request,
                    raw.get("reason", ""),
                    raw.get("boot", ""),
                    raw.get("counted_at", 0.0),
                    maybe_sent=raw.get("maybe_sent", False) is True,
                    written_by=written_by,
                )
            except FileNotFoundError:
                continue  # the other program was quicker
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log_unreadable(path, error)
                continue
            entries.append(entry)
        return entries


def _names(folder: str, ending: str) -> list[str]:
    """Return the files in order; none to a user who may not look, whom `doctor` tells so."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(ending))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _open_plainly(path: str, flags: int) -> int:
    """Open a file of a folder that is shared: no link to elsewhere, nothing that blocks."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _only_writer(found: os.stat_result) -> Optional[int]:
    """Return the one user who can have written a file.

    Raises:
        ValueError: it is no file.
    """
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    return None if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else found.st_uid


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _log_unreadable(path: str, error: Exception) -> None:
    import logging

    logger = logging.getLogger(__name__)
    extra = {"path": path, "error": repr(error)}
    logger.error("outbox file was unreadable, skipped", extra=extra)


def _file_word(key: str) -> str:
    """Return a word for a file's name: a key may contain slashes, or be too long for a name.

    Nothing reads it back. In names by older releases the key itself stands.
    """
    import hashlib  # the watcher never makes a name

    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _place(names: list[str], wall: float) -> int:
    """Return the next file's number: nanoseconds, above all others whatever the clock says."""
    numbers = [int(name[:20]) for name in names if name[:20].isdigit()]
    return max([int(wall * 1e9), *(number + 1 for number in numbers)])
