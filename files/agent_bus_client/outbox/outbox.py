"""Messages that were sent while the hub was away: a folder shared by command line and watcher.

One file a message, named so that the order of names is the order of sending. The idempotency key
was made with the message, so that two programs draining at once deliver it once. The hub remembers
keys for 24 h, so what is older than 20 h goes to `failed/` instead of risking a second copy, as
does what has expired. What expires later is posted as it was made: the hub refuses another body
under a key that it knows. Ages are counted by the machine since its boot: a wall clock that is set
right, hours or years ahead, must give up nothing. Only over a reboot the wall is believed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from agent_bus_client.errors import ClientError, HubRefusedError, HubUnreachableError

if TYPE_CHECKING:
    from agent_bus_client.hub.transport import Hub

logger = logging.getLogger(__name__)

MAX_AGE_S = 20 * 3600
MAX_WAITING = 1000  # per node; past it a send is refused: something is wrong for long
MAX_SUBJECT = 200  # characters; the hub refuses more
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TO_SENDER_OF = "to_sender_of"  # in a request: a reply made while the hub could not say to whom


@dataclass(frozen=True)
class Entry:
    """One waiting or failed message.

    Attributes:
        created_at: by the wall.
        request: the body of `POST /api/send`.
        boot, counted_at: which boot it was made in, and how many seconds after it.
        maybe_sent: the hub may have it: a try to send it was left without an answer.
    """

    path: Path
    key: str
    created_at: float
    request: dict[str, Any]
    reason: str = ""
    boot: str = ""
    counted_at: float = 0.0
    maybe_sent: bool = False

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


def boot_id() -> str:
    """Return what is the same until the machine's next boot, empty when it cannot be known.

    The watcher's unit hides /proc/sys from it and hands it over instead.
    """
    try:
        found = os.environ.get("AGENT_BUS_BOOT") or BOOT_ID.read_text(encoding="ascii")
    except OSError:
        return ""
    return found.strip().replace("-", "")


@dataclass(frozen=True)
class Clock:
    """The machine's: wall in seconds, seconds since boot (suspended ones too), and which boot."""

    wall: Callable[[], float] = time.time
    counted: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    boot: Callable[[], str] = boot_id


MACHINE = Clock()


@dataclass(frozen=True)
class Drained:
    """What one run has done."""

    sent: int
    failed: int
    waiting: int


class Outbox:
    """The folder; every method may be called from several processes at once."""

    def __init__(self, folder: Path, *, clock: Clock = MACHINE) -> None:
        self.folder = folder
        self._clock = clock

    def add(self, key: str, request: dict[str, Any], *, maybe_sent: bool = False) -> Entry:
        """Store one message durably.

        Raises:
            ClientError: the outbox is full.
            OSError: it cannot be written.
        """
        names = self._names()
        if len(names) >= MAX_WAITING:
            raise ClientError(
                f"{self.folder} holds {MAX_WAITING} messages: the hub is away for long"
            )
        clock = self._clock
        entry = Entry(
            self.folder / f"{_place(names, clock.wall()):020d}-{_file_word(key)}.json",
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
        """Remember that the hub may have it; harmless when that cannot be written.

        It is sent again under its key in any case. But who gives it up must not say that it was
        not delivered.
        """
        if not entry.maybe_sent:
            with contextlib.suppress(OSError):
                self._write(entry.path, replace(entry, maybe_sent=True))

    def age_s(self, entry: Entry) -> float:
        """Return how long ago a message was made."""
        if entry.boot and entry.boot == self._clock.boot():
            return self._clock.counted() - entry.counted_at
        return self._clock.wall() - entry.created_at

    def waiting(self) -> list[Entry]:
        """Return what waits, oldest first."""
        return self._read(self.folder)

    def failed(self) -> list[Entry]:
        """Return what was given up, oldest first."""
        return self._read(self.folder / "failed")

    def remove(self, entry: Entry) -> None:
        """Forget a message that was sent or shown."""
        entry.path.unlink(missing_ok=True)

    def told(self, entry: Entry) -> None:
        """The sender has heard of this failed message; only `doctor` shows it from now on.

        Raises:
            FileNotFoundError: another program has told it.
            OSError: it cannot be marked.
        """
        entry.path.rename(entry.path.with_suffix(".told"))

    def told_count(self) -> int:
        """Return how many failed messages their senders have heard of."""
        return len(list((self.folder / "failed").glob("*.told")))

    def give_up(self, entry: Entry, reason: str) -> None:
        """Move a message to `failed/` with the reason.

        Raises:
            OSError: it cannot be moved, and waits as before.
        """
        folder = self.folder / "failed"
        umask = os.umask(0o002)  # as for the files; the parent lets nobody else in
        try:
            folder.mkdir(mode=0o775, exist_ok=True)
        finally:
            os.umask(umask)
        target = folder / entry.path.name
        self._write(target, replace(entry, path=target, reason=reason))
        self.remove(entry)

    def _names(self) -> list[str]:
        return [path.name for path in self.folder.glob("*.json")]

    @staticmethod
    def _write(path: Path, entry: Entry) -> None:
        raw = {
            "key": entry.key,
            "created_at": entry.created_at,
            "request": entry.request,
            "reason": entry.reason,
            "boot": entry.boot,
            "counted_at": entry.counted_at,
            "maybe_sent": entry.maybe_sent,
        }
        temporary = path.with_name(f"{os.getpid()}-{os.urandom(4).hex()}.tmp")  # nobody else's
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            with os.fdopen(os.open(temporary, flags, 0o664), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o664)  # the umask of a shell would lock the watcher out
                json.dump(raw, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    @staticmethod
    def _read(folder: Path) -> list[Entry]:
        entries = []
        for path in sorted(folder.glob("*.json")):
            try:
                raw = json.loads(path.read_text(encoding="utf-8"))
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
                )
            except FileNotFoundError:
                continue  # the other program was quicker
            except (OSError, ValueError, KeyError, TypeError) as error:
                extra = {"path": str(path), "error": repr(error)}
                logger.error("outbox file was unreadable, skipped", extra=extra)
                continue
            entries.append(entry)
        return entries


def _file_word(key: str) -> str:
    """Return a word for a file's name: a key may hold slashes and be longer than a name may be.

    Nothing reads it back; names by older releases hold the key itself.
    """
    import hashlib  # the watcher never makes a name

    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _place(names: list[str], wall: float) -> int:
    """Return the next file's number: nanoseconds, behind all others whatever the wall says."""
    numbers = [int(name[:20]) for name in names if name[:20].isdigit()]
    return max([int(wall * 1e9), *(number + 1 for number in numbers)])


def addressed(request: dict[str, Any], hub: Hub) -> dict[str, Any]:
    """Return the body of `POST /api/send`; a reply gets its recipient from what it answers.

    Raises:
        ClientError: see `Hub.call`.
    """
    if TO_SENDER_OF not in request:
        return request
    original = hub.call("GET", f"/api/messages/{request[TO_SENDER_OF]}")
    answered = {name: value for name, value in request.items() if name != TO_SENDER_OF}
    answered["to"] = original["from_agent"]
    subject = original.get("subject")
    if subject and not answered.get("subject"):
        re = subject if subject.startswith("Re: ") else f"Re: {subject}"
        answered["subject"] = re[:MAX_SUBJECT]
    return answered


def drain(box: Outbox, hub: Hub, *, sender: str | None = None) -> Drained:
    """Send what waits, in order per sender; stop at the first sign that the hub is away.

    What cannot be moved or removed for want of rights or of room stays, and all that its sender
    has behind it.
    """
    sent = failed = 0
    stuck: set[str] = set()
    waiting = [entry for entry in box.waiting() if sender in {None, entry.sender}]
    for entry in waiting:
        if entry.sender in stuck:
            continue
        try:
            refusal = _refusal(box, hub, entry)
            if refusal:
                box.give_up(entry, refusal)
                failed += 1
            else:
                box.remove(entry)
                sent += 1
        except HubRefusedError as error:
            if error.status == 401:  # noqa: PLR2004 - nobody of this node can send now
                break
            stuck.add(entry.sender)
        except ClientError:
            break
        except OSError as error:
            extra = {"path": str(entry.path), "error": str(error)}
            logger.error("outbox file was not moved, its sender's mail waits", extra=extra)
            stuck.add(entry.sender)
    return Drained(sent, failed, len(waiting) - sent - failed)


def _refusal(box: Outbox, hub: Hub, entry: Entry) -> str:
    """Send one message; return why it never can be, empty when it was sent.

    Raises:
        HubRefusedError: it can be later, or this node's token is not accepted.
        ClientError: the hub is away.
    """
    if box.age_s(entry) > MAX_AGE_S:
        return "older than 20 h when the hub was back"
    expires_in_s = entry.request.get("expires_in_s")
    if isinstance(expires_in_s, (int, float)) and box.age_s(entry) > expires_in_s:
        return "expired before the hub was back"  # the hub would count from when it gets it
    try:
        request = addressed(entry.request, hub)
        _post(box, hub, entry, request)
    except HubRefusedError as error:
        if error.later or error.status == 401:  # noqa: PLR2004 - as for `drain`
            raise
        return str(error)
    return ""


def _post(box: Outbox, hub: Hub, entry: Entry, request: dict[str, Any]) -> None:
    """Post one message; an answer that is missing is noted.

    Raises:
        ClientError: see `Hub.call`.
    """
    try:
        headers = {"Idempotency-Key": entry.key}
        hub.call("POST", "/api/send", body=request, headers=headers)
    except HubUnreachableError as error:
        if error.sent:
            box.note_maybe_sent(entry)
        raise
    except HubRefusedError as error:
        if error.is_ambiguous:
            box.note_maybe_sent(entry)
        raise
