"""What the bus counts in memory: each agent's mailbox, the newest seq, and totals since the start.

The fan-out keeps them true after each commit, so that no answer reads the database for a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core.model import MailboxCounts, Seq

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_bus.core.model import AgentName


class Counters:
    """Counts as of the last commit; used in the loop's thread.

    Args:
        head: the newest seq that the store has given.
        mailboxes: every agent's counters, as stored.
    """

    def __init__(self, *, head: Seq, mailboxes: Iterable[MailboxCounts]) -> None:
        self.head = head
        self.sent_count = 0
        self.heard_count = 0
        """Messages that other hubs accepted."""
        self.pushed_count = 0
        self.acked_count = 0
        self.task_count = 0
        """Tasks of A2A that were made."""
        self.asking_count = 0
        """Who waits for an answer by A2A now."""
        self._mailboxes = {box.agent: box for box in mailboxes}

    @property
    def accepted_count(self) -> int:
        """Messages that any hub accepted since this one started."""
        return self.sent_count + self.heard_count

    def mailbox(self, agent: AgentName) -> MailboxCounts:
        """An agent's counters."""
        return self._mailboxes.get(agent, MailboxCounts(agent, 0, 0, Seq(0)))

    def take(self, box: MailboxCounts) -> None:
        """Replace an agent's counters by newer ones."""
        self._mailboxes[box.agent] = box
