"""Deliveries that wake nobody for now. They are stored, shown and readable as any other."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_bus.core.model import MailboxCounts, Seq

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from agent_bus.core.model import AgentName

MOST: Final = 20_000
"""Deliveries withheld at once, about 4 MB. A held storm wakes nobody, so hardly anything is added
to it. Past the limit deliveries wake as usual: rather too many wakes than a lost one."""


class HeldTimes(NamedTuple):
    """When (ms) a delivery's wake was withheld, and let go; None: it still is, or was fetched."""

    held_at: int
    let_go_at: int | None


class Withheld:
    """Which deliveries of which agents are withheld, and by what."""

    def __init__(self) -> None:
        self._keys: dict[AgentName, dict[Seq, str]] = {}
        self._newest: dict[AgentName, Seq] = {}
        """The newest delivery of each agent here that was not withheld."""
        self.count = 0

    def __bool__(self) -> bool:
        """Whether anything is withheld."""
        return bool(self._keys)

    def add(self, agent: AgentName, seq: Seq, key: str, *, before: Seq) -> bool:
        """Withhold a delivery; False if there are too many. `before`: the newest one before it."""
        if self.count >= MOST:
            return False
        keys = self._keys.setdefault(agent, {})
        if not keys:
            self._newest[agent] = before
        self.count += seq not in keys
        keys[seq] = key
        return True

    def passes(self, agent: AgentName, seq: Seq) -> None:
        """Note a delivery that is not withheld."""
        if agent in self._newest:
            self._newest[agent] = seq

    def key_of(self, agent: AgentName, seq: Seq) -> str | None:
        """What withholds a delivery; None: nothing does."""
        keys = self._keys.get(agent)
        return None if keys is None else keys.get(seq)

    def of(self, agent: AgentName) -> Collection[Seq]:
        """The withheld deliveries of an agent."""
        return self._keys.get(agent, {}).keys()

    def counts(self) -> Counter[str]:
        """How many deliveries each storm withholds."""
        return Counter(key for keys in self._keys.values() for key in keys.values())

    def let_go(self, key: str) -> dict[AgentName, list[Seq]]:
        """Withhold nothing more by this key; answers what was."""
        found: dict[AgentName, list[Seq]] = {}
        for agent, keys in list(self._keys.items()):
            mine = [seq for seq, one in keys.items() if one == key]
            if mine:
                found[agent] = mine
                self._drop(agent, mine)
        return found

    def keep_only(self, agent: AgentName, seqs: Iterable[Seq], *, asked: Iterable[Seq]) -> None:
        """Of the deliveries that were `asked` about only these wait still; others were fetched."""
        waiting = frozenset(seqs)
        self._drop(agent, [seq for seq in asked if seq not in waiting])

    def without(self, box: MailboxCounts) -> MailboxCounts:
        """An agent's counters without what is withheld: what it has to be woken for."""
        keys = self._keys.get(box.agent)
        if not keys:
            return box
        if box.unfetched == 0:
            self._drop(box.agent, list(keys))
            return box
        unfetched = max(0, box.unfetched - len(keys))
        newest = box.last_seq if box.last_seq not in keys else self._newest[box.agent]
        return MailboxCounts(box.agent, unfetched, max(0, box.unread - len(keys)), newest)

    def _drop(self, agent: AgentName, seqs: Iterable[Seq]) -> None:
        keys = self._keys.get(agent)
        if keys is None:
            return
        for seq in seqs:
            if keys.pop(seq, None) is not None:
                self.count -= 1
        if not keys:
            del self._keys[agent]
            self._newest.pop(agent, None)
