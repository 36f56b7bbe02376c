"""Mosquitto with persistence: MQTT 5, QoS 1 on both sides, sessions that outlive connections."""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING

from bench.peers import NotAvailableError, process
from bench.peers.link import Link
from bench.peers.wire import mqtt

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

SESSION_S = 3600


def mosquitto_binary() -> str | None:
    """Debian's, which is not in every user's PATH."""
    return shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")


class Mosquitto:
    """One broker (Debian's)."""

    name = "Mosquitto QoS 1"
    differs = (
        "no rights, inbox, priorities or history; it writes its file once a second, so a power"
        " cut takes messages that it has acknowledged"
    )
    per_agent = False
    is_slow = False

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    async def start(self, folder: Path) -> None:
        """Start the broker with its file in `folder`."""
        binary = mosquitto_binary()
        if binary is None:
            raise NotAvailableError("mosquitto, Debian's package, is not installed")
        self._port = process.free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self._port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            "max_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n"
        )
        argv = [binary, "-c", str(config)]
        self._process = await process.start(argv, port=self._port, log=folder / "mosquitto.log")

    async def sender(self, agent: str) -> MqttClient:
        """A connection that publishes."""
        return await MqttClient.open(self._port, f"{agent}-{secrets.token_hex(4)}", session_s=0)

    async def stream(self, agents: Sequence[str], arrived: Callable[[str], None]) -> MqttClient:
        """The subscriptions of a node's agents."""
        client = await MqttClient.open(self._port, agents[0], session_s=SESSION_S)
        await client.subscribe([*(f"agent/{agent}" for agent in agents), "all"])
        client.arrived = arrived
        return client

    def cpu_s(self) -> float:
        """CPU of the broker so far."""
        return process.cpu_s(self._process)

    async def stop(self) -> None:
        """End the broker."""
        await process.stop(self._process)


class MqttClient:
    """A connection; `send` waits for the broker's PUBACK, and what arrives is acknowledged."""

    arrived: Callable[[str], None] | None = None

    def __init__(self, link: Link[mqtt.Packet]) -> None:
        self._link = link
        link.take = self._take

    @classmethod
    async def open(cls, port: int, client_id: str, *, session_s: int) -> MqttClient:
        """Connect."""
        client = cls(await Link.open(port, mqtt.parse))
        await client._ask(mqtt.connect(client_id, session_s=session_s))
        return client

    async def subscribe(self, topics: list[str]) -> None:
        """Have what is published to these topics sent here."""
        await self._ask(mqtt.subscribe(1, topics))

    async def send(self, to: str | None, body: str) -> None:
        """Publish one message; as it is the only one in flight, it can always have the same id."""
        topic = "all" if to is None else f"agent/{to}"
        await self._ask(mqtt.publish(1, topic, body.encode()))

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _ask(self, request: bytes) -> None:
        said = await self._link.ask(request)
        if mqtt.reason(said) >= mqtt.FAILED:
            raise RuntimeError(f"MQTT: {said}")

    def _take(self, packet: mqtt.Packet) -> None:
        if packet.type != mqtt.PUBLISH:
            self._link.answer(packet)
            return
        packet_id, payload = mqtt.published(packet)
        self._link.write(mqtt.puback(packet_id))
        if self.arrived is not None:
            self.arrived(payload.decode())
