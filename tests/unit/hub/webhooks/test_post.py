"""One request to a receiver that answers nothing that HTTP knows."""

from __future__ import annotations

import socket
import threading

from agent_bus.webhook_settings import Signed, Webhook
from agent_bus.webhooks.post import Receiver
from tests.support.clock import FakeClock
from tests.support.patience import patience


def answering(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(answer)


def test_what_is_kept_of_an_answer_can_be_stored_and_shown_anywhere() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(patience())
        port = listener.getsockname()[1]
        play = threading.Thread(target=answering, args=(listener, b"\0\x1b[31m\r\n\r\n"))
        play.start()
        permitted = {"allow_http": True, "allow_private": True}
        url = f"http://127.0.0.1:{port}/"
        webhook = Webhook.model_validate({"name": "ops", "url": url, "fleet": True, **permitted})
        attempt = Receiver(Signed(webhook, (b"k" * 24,)), clock=FakeClock()).post("id", b"{}")
        play.join(patience())
    assert attempt.verdict == "away"
    assert attempt.words == "BadStatusLine: [31m"
