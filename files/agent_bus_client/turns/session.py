"""The conversation that an agent's turns go on with, and how its last turn ended: one file."""

from __future__ import annotations

import contextlib
import json
import os

from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "/var/lib/agent-bus-turns"
"""Has a folder per agent, its user's own: StateDirectory= of the units."""
NAME = "session.json"


class Session(Record):
    """What is remembered between turns.

    Attributes:
        id: of the conversation; empty before the first turn.
        waker, folder: with which it was begun; another one cannot go on with it.
        failures: turns in a row that have failed.
        trouble: why the last turn failed; empty if it did not.
        proven: whether a turn has ever gone well with these settings.
    """

    id: str = ""
    waker: str = ""
    folder: str = ""
    failures: int = 0
    trouble: str = ""
    proven: bool = False


def load(state_dir: Path) -> Session:
    """Return what is remembered; nothing if the file is missing or unusable."""
    try:
        raw = json.loads((state_dir / NAME).read_text(encoding="utf-8"))
        values = {name: raw[name] for name in vars(Session())}
    except (OSError, ValueError, KeyError, TypeError):
        return Session()
    kinds = {name: type(value) for name, value in vars(Session()).items()}
    if any(type(value) is not kinds[name] for name, value in values.items()):
        return Session()
    return Session(**values)


def save(state_dir: Path, session: Session) -> None:
    """Remember it, durably.

    Raises:
        OSError: it cannot be written.
    """
    temporary = state_dir / f"{NAME}.{os.getpid()}"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(vars(session), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(state_dir / NAME)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
