"""What is measured, the same for every peer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from bench.measure import Times
from bench.peers import AGENTS, FLEET, HOME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from bench.peers import Peer, Sender, Stream

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

    async def send(self, sender: Sender, to: Any, *, arrivals: int = 1) -> str:  # noqa: ANN401
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

    @contextlib.contextmanager
    def spent(self) -> Iterator[Times]:
        """CPU per message of server and client within the block, once `seconds` are known."""
        times = Times()
        server_s, client_s = self.peer.cpu_s(), time.process_time()
        yield times
        client_s = time.process_time() - client_s
        server_s = self.peer.cpu_s() - server_s
        count = max(1, len(times.seconds))
        times.server_us = server_s / count * 1e6
        times.client_us = client_s / count * 1e6


async def at_rest(post: Post, *, count: int) -> Times:
    """One message in flight, random agents."""
    return await _one_by_one(post, count, lambda: random.choice(AGENTS[1:]))


async def fan_out(post: Post, *, count: int) -> Times:
    """A broadcast, until the last stream has it for its last agent."""
    arrivals = len(AGENTS) - 1 if post.peer.per_agent else len(FLEET)
    return await _one_by_one(post, count, lambda: None, arrivals=arrivals)


async def _one_by_one(
    post: Post, count: int, to: Callable[[], str | None], *, arrivals: int = 1
) -> Times:
    sender = await post.peer.sender(AGENTS[0])
    await post.settle([await post.send(sender, to(), arrivals=arrivals)])  # the connection
    numbers = []
    with post.spent() as times:
        for _ in range(count):
            numbers.append(await post.send(sender, to(), arrivals=arrivals))
            await post.settle(numbers[-1:])
        times.take(post.result(numbers, last=arrivals > 1))
    await sender.close()
    return times


async def load(
    post: Post,
    *,
    count: int,
    senders: int = 32,
    recipients: int = 1,
    connect: Callable[[str], Awaitable[Sender]] | None = None,
) -> Times:
    """Senders with one message in flight each; `per_s` counts until all have arrived.

    Each has sent a message before the time begins, so a kept connection is open by then. `connect`
    makes senders that are not the peer's ordinary ones.
    """
    numbers: list[str] = []
    connect = connect or post.peer.sender
    clients = [await connect(AGENTS[n % len(AGENTS)]) for n in range(senders)]
    others = {a: [other for other in AGENTS if HOME[other] != HOME[a]] for a in AGENTS}

    async def one(number: int, share: int) -> None:
        choice = others[AGENTS[number % len(AGENTS)]]
        for _ in range(share):
            to: Any = (
                random.sample(choice, recipients) if recipients > 1 else random.choice(choice)
            )
            numbers.append(await post.send(clients[number], to, arrivals=recipients))

    await asyncio.gather(*(one(number, 1) for number in range(senders)))
    await post.settle(numbers)
    warm, numbers = numbers, []
    with post.spent() as times:
        began = time.perf_counter()
        await asyncio.gather(*(one(number, count // senders) for number in range(senders)))
        await post.settle(numbers, timeout_s=30)
        ended = max(max(post.arrivals.get(number, [began])) for number in numbers)
        times.take(post.result(numbers, last=recipients > 1))
    times.per_s = len(numbers) / (ended - began)
    first = post.result(warm)
    times.lost, times.doubled = times.lost + first.lost, times.doubled + first.doubled
    for client in clients:
        await client.close()
    return times


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

    with post.spent() as times:
        await asyncio.gather(*(one(agent) for agent in AGENTS))
        await post.settle(numbers)
        times.take(post.result(numbers))
    return times


@contextlib.asynccontextmanager
async def opened(peer: Peer) -> AsyncIterator[Post]:
    """A post with its streams open."""
    post = Post(peer)
    await post.open()
    try:
        yield post
    finally:
        await post.close()


async def with_post(peer: Peer, run: Callable[[Post], Awaitable[Times]]) -> Times:
    """Open the streams, run one scenario, close them."""
    async with opened(peer) as post:
        return await run(post)
