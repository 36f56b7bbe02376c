"""What the hub itself has to say: messages from `bus`.

They are ordinary messages: stored, delivered, shown, told by webhooks and channels. No rate, right
or budget keeps them from the operator. Runs in the loop's thread.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from agent_bus.core.guards import policy
from agent_bus.core.model import BUS, Draft, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.model import AgentName
    from agent_bus.store.contract import Store

logger = logging.getLogger(__name__)


class Notices:
    """Sends messages in the name of the hub."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    def send(
        self,
        recipients: Sequence[AgentName],
        *,
        subject: str,
        body: str,
        key: str,
        data: dict[str, object] | None = None,
        rank: int = 2,
        then: Callable[[Sent], object] = lambda _: None,
    ) -> None:
        """Queue a message, and return at once.

        Args:
            recipients: to whom; each once, at least one.
            subject: one line.
            body: the text.
            key: names the occasion. A second message with the same key within a day, of another
                hub or after a restart, is none.
            data: for programs.
            rank: the priority's; 0 is urgent.
            then: takes the result in the loop, once the message is durable; also if it was sent
                before. After a failure, which the log shows, it is not called.
        """
        told = None if data is None else policy.canonical(data)

        def done(found: Sent | Exception) -> None:
            if isinstance(found, Exception):
                logger.error("A notice was not sent: %s (%s)", subject, found)
            else:
                then(found)

        draft = Draft(
            BUS,
            tuple(recipients),
            body,
            subject=subject,
            data_json=told,
            rank=rank,
            idempotency_key=key,
            payload_sha256=b"",
        )
        self._store.begin_send(draft, depth_limit=sys.maxsize, done=done)
