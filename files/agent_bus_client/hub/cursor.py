"""The watcher's place in the stream, kept over restarts.

One small JSON file, written under a temporary name, synced and renamed: after a power cut the old
one or the new one is there. Saving blocks for as long as the disk takes to sync.
"""

from __future__ import annotations

import json
import logging
import os

from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from os import PathLike

logger = logging.getLogger(__name__)


class Cursor(Record):
    """The last event that the wake state holds, and the agents whose stream it came from."""

    epoch: str
    seq: int
    agents: tuple[str, ...]

    @property
    def event_id(self) -> str:
        """The value for `Last-Event-ID`."""
        return f"{self.epoch}-{self.seq}"


def parse_event_id(event_id: str) -> tuple[str, int] | None:
    """Return epoch and seq of `<epoch>-<seq>`; None for anything else."""
    epoch, dash, seq = event_id.rpartition("-")
    if not dash or not epoch or not (seq.isascii() and seq.isdigit()):
        return None
    return epoch, int(seq)


def is_repeated(place: tuple[str, int] | None, seen: tuple[str, int] | None) -> bool:
    """Tell whether an event's place is at or before the last one seen, in the same epoch."""
    return bool(place and seen and place[0] == seen[0] and place[1] <= seen[1])


def load(path: str | PathLike[str], agents: tuple[str, ...]) -> Cursor | None:
    """Return the saved cursor; None if there is none that can be used.

    Without a cursor the hub sends all unread messages, so None loses nothing. If the agents are
    not those of the saved cursor, it is not used: a new agent's unread mail may lie before it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        cursor = Cursor(str(saved["epoch"]), int(saved["seq"]), tuple(saved["agents"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.error(  # the hub resends what is unread
            "cursor file was unusable, started without it",
            extra={"path": str(path), "error": repr(error)},
        )
        return None
    if set(cursor.agents) != set(agents):
        logger.info("agents changed, started without the cursor", extra={"agents": list(agents)})
        return None
    return cursor


def save(path: str | PathLike[str], cursor: Cursor) -> None:
    """Make the cursor durable.

    Raises:
        OSError: the disk is full or the folder is not writable.
    """
    temporary = f"{os.path.splitext(path)[0]}.tmp"
    raw = json.dumps({"epoch": cursor.epoch, "seq": cursor.seq, "agents": list(cursor.agents)})
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
