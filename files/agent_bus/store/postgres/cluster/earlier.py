"""What other hubs did between two batches of this one; used in the writer's thread alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.store.postgres.cluster import elsewhere

if TYPE_CHECKING:
    from psycopg import Cursor

    from agent_bus.store.postgres.cluster.elsewhere import Change, Wants
    from agent_bus.store.postgres.link.connections import NativeConnection

EXPECTED: Final = 8
"""For so many batches after others did something, the question goes with the batch itself, which
saves an exchange with the database; while none does, nothing is asked."""


class Earlier:
    """See `write.writer.Follower`.

    Args:
        wants: whether a message to these agents is shown here; asked in the writer's thread.
    """

    def __init__(self, *, wants: Wants) -> None:
        self._wants = wants
        self._expected = 0

    def ask(self, connection: NativeConnection, after: int) -> Cursor[Any] | None:
        """Ask with a batch, behind its lock, for what came before it; None: nothing is likely."""
        if not self._expected:
            return None
        self._expected -= 1
        return elsewhere.ask(connection, after)

    def before(
        self, connection: NativeConnection, asked: Cursor[Any] | None, *, after: int, until: int
    ) -> list[Change]:
        """What came before a batch that is committed, with the bodies that are wanted here."""
        self._expected = EXPECTED
        if asked is None:
            return elsewhere.up_to(connection, after, until, wants=self._wants)
        return elsewhere.whole(connection, asked, self._wants)
