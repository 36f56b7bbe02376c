"""What follows a group commit, whatever the store: the listener is told, then callers go on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

STOPPED: Final = "The hub stops; come back in a moment."

BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
COMMIT_BOUNDS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2)
"""One fsync: 0.1 ms on a server's disk, 10 ms and more on an SD card."""


class Answerable(Protocol):
    """A unit of work that somebody may wait for.

    Both calls happen in the loop after the commit: `committed` for the whole batch first, then
    `done`, exactly once and for failures, too.
    """

    @property
    def committed(self) -> Callable[[Any], None] | None:
        """What follows in the loop."""

    @property
    def done(self) -> Callable[[Any], object] | None:
        """Takes the result, or the error; None: nobody waits."""


@dataclass(slots=True)
class Outcome:
    """What became of a command: a result or an error."""

    command: Answerable
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        """Tell the listener; in the loop's thread.

        The commit has happened: when a listener fails, that is logged, and every caller of the
        batch still gets its answer.
        """
        if self.error is None and self.command.committed is not None:
            try:
                self.command.committed(self.result)
            except Exception:
                logger.exception("The listener failed on a commit")

    def answer(self) -> None:
        """Let its caller go on; in the loop itself. A caller that fails keeps nobody else."""
        if self.command.done is None:
            if self.error is not None:
                logger.warning("A lazy write failed: %s", self.error)
            return
        try:
            self.command.done(self.result if self.error is None else self.error)
        except Exception:
            logger.exception("An answer could not be given")


def hand_out(outcomes: Sequence[Outcome]) -> None:
    """Fan out the whole batch before any of its senders is answered."""
    for outcome in outcomes:
        outcome.tell()
    for outcome in outcomes:
        outcome.answer()
