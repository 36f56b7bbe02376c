"""Senders of the shapes that the hub's own clients have; other peers know none of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent_bus_client.outbox.delivery import new_key
from bench.peers.web import HOST, HttpSender

if TYPE_CHECKING:
    from collections.abc import Sequence


class KeySender(HttpSender):
    """An Idempotency-Key with each message, over one connection that is kept."""

    def headers(self) -> bytes:
        """A key that nobody has used."""
        return b"Idempotency-Key: %s\r\n" % new_key().encode()


class CommandSender(HttpSender):
    """What `agent-bus send` writes: a key, and a new connection for each message."""

    def __init__(self, port: int, *, token: str, sender: str) -> None:
        super().__init__(port, token=token, sender=sender)
        self._head = (
            f"POST /api/send HTTP/1.1\r\nHost: {HOST}:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Accept: application/json\r\nUser-Agent: agent-bus-client/bench\r\n"
            "Content-Type: application/json\r\n"
        ).encode()

    async def post(self, fields: dict[str, Any]) -> bytes:
        """Connect, post, and hang up."""
        payload = json.dumps(fields).encode()
        last = f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        key = f"Idempotency-Key: {new_key()}\r\n"
        answer = await self.request(self._head + f"{key}{last}".encode() + payload, 201)
        await self.close()
        return answer


class ReplySender(HttpSender):
    """Answers one message again and again; each answer goes to who sent that message."""

    to: str
    reply_to: str

    async def send(self, to: str | Sequence[str] | None, body: str) -> None:
        """Post one answer; `to` is not asked, as an answer has its recipient."""
        del to
        await self.post(
            {"from": self.agent, "body": body, "reply_to": self.reply_to, "to": self.to}
        )
