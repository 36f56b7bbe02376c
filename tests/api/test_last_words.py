"""A client that is refused while it still writes reads why, and is not cut off."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import Authority
from tests.support.hub import HubProcess, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 3_000_000
"""More than a socket holds, and less than the hub reads to be polite."""
HEAD = "POST /api/send HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"
TOKEN = "Authorization: Bearer token-n2\r\n"
LENGTH = f"Content-Length: {SIZE}\r\n"
REFUSED = {
    "too large": (413, HEAD + TOKEN + LENGTH),
    "no token": (401, HEAD + LENGTH),
    "too large, in chunks": (413, HEAD + TOKEN + "Transfer-Encoding: chunked\r\n"),
    "no request": (400, HEAD + "Content-Length: 1\r\n" + LENGTH),
}


@pytest.fixture(scope="module", params=["clear", "TLS"])
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[HubProcess, ssl.SSLContext | None]]:
    """A hub, and what its certificate is trusted by."""
    folder: Path = tmp_path_factory.mktemp("hub")
    with running(folder) as hub:
        if request.param == "clear":
            yield hub, None
            return
        authority = Authority(folder / "tls")
        hub.hang_up()
        hub.stop()
        hub.settings = authority.issue("hub")
        hub.start(wait=False)
        trust = ssl.create_default_context(cafile=str(authority.ca_file))
        wait_until(lambda: is_open(hub.port), "the hub listens")
        yield hub, trust


def is_open(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=patience()).close()
        return True
    return False


@pytest.mark.parametrize("case", REFUSED)
def test_the_answer_is_read_by_who_writes_to_the_end_first(
    door: tuple[HubProcess, ssl.SSLContext | None], case: str
) -> None:
    hub, trust = door
    status, head = REFUSED[case]
    body = b"x" * SIZE
    if "chunked" in head:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, body)
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(socket.socket())
        peer.settimeout(patience())
        # hardly more is under way than the hub has read
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        peer.connect(("127.0.0.1", hub.port))
        if trust is not None:
            peer = stack.enter_context(trust.wrap_socket(peer, server_hostname="127.0.0.1"))
        peer.sendall(head.encode() + b"\r\n" + body)
        answer = peer.recv(65536)
        assert answer.split()[1] == str(status).encode()
