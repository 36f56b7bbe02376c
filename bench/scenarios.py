"""What is measured, the same for every peer."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from bench.measure import Times
from bench.peers import AGENTS, FLEET, HOME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.peers import Peer, Stream

BODY_BYTES = 256
SETTLE_S = 12.0
"""How long a message may take to arrive before it counts as lost (the baseline polls)."""


class Post:
    """Nine open streams, one per node, and when each numbered message was sent and arrived."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.streams: list[Stream] = []
        self.sent: dict[str, float] = {}
        self.expected: Counter[str] = Counter()
        self.arrivals: dict[str, list[float]] = {}
        self.changed = asyncio.Event()
        self._run = secrets.token_hex(3)
        self._number = 0

    async def open(self) -> None:
        """Open one stream per node."""
        for agents in FLEET.values():
            self.streams.append(await self.peer.stream(agents, self._arrived))

    async def close(self) -> None:
        """Close all streams."""
        for stream in self.streams:
            await stream.close()

    def _arrived(self, body: str) -> None:
        number = body.split(" ", 1)[0]
        if number not in self.sent:
            return  # unread from an earlier scenario, as a stream begins with the backlog
        self.arrivals.setdefault(number, []).append(time.perf_counter())
        self.changed.set()

    async def send(self, sender: Any, to: str | None, *, arrivals: int = 1) -> str:  # noqa: ANN401
        """Send the next message; return its number once it is acknowledged."""
        self._number += 1
        number = f"{self._run}.{self._number}"
        body = f"{number} ".ljust(BODY_BYTES, "x")
        self.expected[number] = arrivals
        self.sent[number] = time.perf_counter()
        await sender.send(to, body)
        return number

    async def settle(self, numbers: list[str], *, timeout_s: float = SETTLE_S) -> None:
        """Wait until all of these have arrived everywhere, or count as lost."""
        deadline = time.perf_counter() + timeout_s
        for number in numbers:
            while len(self.arrivals.get(number, ())) < self.expected[number]:
                left_s = deadline - time.perf_counter()
                if left_s <= 0:
                    return
                self.changed.clear()
                try:
                    await asyncio.wait_for(self.changed.wait(), left_s)
                except TimeoutError:
                    return

    def result(self, numbers: list[str], *, last: bool = False) -> Times:
        """Sent to arrived (the first arrival, or the last stream's), lost and doubled."""
        times = Times()
        for number in numbers:
            found = self.arrivals.get(number, [])
            wanted = self.expected[number]
            times.lost += max(0, wanted - len(found))
            times.doubled += max(0, len(found) - wanted)
            if found:
                times.seconds.append((max(found) if last else min(found)) - self.sent[number])
        return times


async def at_rest(post: Post, *, count: int) -> Times:
    """One message in flight, random agents."""
    sender = await post.peer.sender(AGENTS[0])
    numbers = []
    for _ in range(count):
        number = await post.send(sender, random.choice(AGENTS[1:]))
        await post.settle([number])
        numbers.append(number)
    await sender.close()
    return post.result(numbers)


async def load(post: Post, *, count: int, senders: int = 32) -> Times:
    """Keep-alive senders, each with one message in flight; per_s counts until all arrived."""
    numbers: list[str] = []

    async def one(agent: str, share: int) -> None:
        client = await post.peer.sender(agent)
        others = [other for other in AGENTS if HOME[other] != HOME[agent]]
        numbers.extend([await post.send(client, random.choice(others)) for _ in range(share)])
        await client.close()

    began, cpu_s = time.perf_counter(), time.process_time()
    tasks = [one(AGENTS[n % len(AGENTS)], count // senders) for n in range(senders)]
    await asyncio.gather(*tasks)
    await post.settle(numbers, timeout_s=30)
    ended = max(max(found) for found in post.arrivals.values())
    times = post.result(numbers)
    times.per_s = len(numbers) / (ended - began)
    times.client_us = (time.process_time() - cpu_s) / len(numbers) * 1e6
    return times


async def fan_out(post: Post, *, count: int) -> Times:
    """A broadcast, until the last stream has it for its last agent."""
    sender = await post.peer.sender(AGENTS[0])
    per_agent = post.peer.name in {"agent-bus", "naive baseline"}
    arrivals = len(AGENTS) - 1 if per_agent else len(FLEET)
    numbers = []
    for _ in range(count):
        number = await post.send(sender, None, arrivals=arrivals)
        await post.settle([number])
        numbers.append(number)
    await sender.close()
    return post.result(numbers, last=True)


async def fleet(post: Post, *, seconds: float, per_s: float = 5.0) -> Times:
    """All 19 agents send at a steady rate, with random phases."""
    numbers: list[str] = []

    async def one(agent: str) -> None:
        client = await post.peer.sender(agent)
        others = [other for other in AGENTS if other != agent]
        due = time.perf_counter() + random.random() / per_s
        until = time.perf_counter() + seconds
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            numbers.append(await post.send(client, random.choice(others)))
            due += 1 / per_s
        await client.close()

    await asyncio.gather(*(one(agent) for agent in AGENTS))
    await post.settle(numbers)
    return post.result(numbers)


async def with_post(peer: Peer, run: Callable[[Post], Awaitable[Times]]) -> Times:
    """Open the streams, run one scenario, close them."""
    post = Post(peer)
    await post.open()
    try:
        return await run(post)
    finally:
        await post.close()
