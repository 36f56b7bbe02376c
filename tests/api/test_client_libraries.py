"""The listeners of docs/how-to/write-a-client.md as they stand there, over every kind of end.

Each is run with its real library. Not one message may be missing, come twice or out of order.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.support.hub import REPOSITORY, HubProcess, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PAGE = (REPOSITORY / "docs/how-to/write-a-client.md").read_text()
LISTENERS = {
    name: text
    for text in re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name in re.findall(r"^(?:#|//) (listen\w*\.\w+)", text, re.MULTILINE)[:1]
}
EVENTSOURCE = REPOSITORY / ".cache/eventsource"
ALL = [name for name in LISTENERS if name != "listen.mjs"] + ["listen.mjs@3", "listen.mjs@5"]
"""Each listener; Node's with both generations of its library, whose timers differ."""
RUNNERS = {"py": [sys.executable], "mjs": ["node"], "sh": ["sh"]}


class Listener:
    """A listener's process and the ids that it prints."""

    def __init__(self, name: str, hub: HubProcess, folder: Path) -> None:
        self._errors = folder / "stderr"
        file, _, version = name.partition("@")
        script = folder / file
        script.write_text(LISTENERS[file])
        if version:
            modules = EVENTSOURCE / version / "node_modules"
            if not modules.is_dir():
                pytest.fail("npm's eventsource is missing: run `make client-setup`")
            (folder / "node_modules").symlink_to(modules)
        # by another name, so that two programs of one runtime can be told apart
        host = "localhost" if version == "5" else "127.0.0.1"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*RUNNERS[file.rpartition(".")[2]], str(script)],
                cwd=folder,
                env={
                    **os.environ,
                    "BUS_URL": f"http://{host}:{hub.port}",
                    "BUS_TOKEN": "token-n3",
                    "http_proxy": "http://127.0.0.1:9",  # nobody is there
                },
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def next(self) -> str:
        """The id of the next message that it was given; fails with its errors."""
        try:
            text = self._lines.get(timeout=patience()).decode().strip()
        except queue.Empty:
            text = ""
        assert text, f"it printed nothing more: {self._errors.read_text()}"
        return str(json.loads(text)["id"]) if text.startswith("{") else text

    def end(self) -> list[str]:
        """Stop it; answers what it printed that nobody asked for."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(patience())
        self._reader.join(patience())
        assert self._process.stdout is not None
        self._process.stdout.close()
        return [line.decode() for line in iter(self._lines.get, b"")]

    def exit_code(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(patience())

    def is_running(self) -> bool:
        return self._process.poll() is None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


class Refusing(http.server.BaseHTTPRequestHandler):
    """What a proxy answers while the hub behind it is away."""

    refused: ClassVar[set[tuple[str, str]]] = set()
    """The programs that were: each one's own name and the hub's name as it uses it."""

    def do_GET(self) -> None:
        self.refused.add((self.headers["User-Agent"], self.headers["Host"]))
        self.send_response(502)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def refuse_all(port: int, count: int) -> None:
    """Stand at the hub's port until so many listeners have been refused there."""
    Refusing.refused.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Refusing)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        wait_until(lambda: len(Refusing.refused) == count, "every listener has been refused")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@contextlib.contextmanager
def listening(
    hub: HubProcess, folder: Path, names: Iterable[str]
) -> Iterator[dict[str, Listener]]:
    """Listeners, each in a folder of its own; none may have said more than was asked for."""
    listeners: dict[str, Listener] = {}
    try:
        for name in names:
            (folder / name).mkdir()
            listeners[name] = Listener(name, hub, folder / name)
        yield listeners
    finally:
        left = {name: one.end() for name, one in listeners.items()}
    assert not any(left.values()), left


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    (tmp_path / "hub").mkdir()
    with running(tmp_path / "hub", keepalive_s=0.05, retry_ms=100) as one:
        yield one


def test_none_misses_or_repeats_a_message_over_every_end(hub: HubProcess, tmp_path: Path) -> None:
    def send(text: str) -> str:
        return str(hub.client("n2").send(text, to="delta")["id"])

    def each_has(*ids: str) -> None:
        for wanted in ids:
            assert {name: one.next() for name, one in listeners.items()} == dict.fromkeys(
                ALL, wanted
            )

    before = [send("waits since before"), send("and another")]
    with listening(hub, tmp_path, ALL) as listeners:
        each_has(*before)
        each_has(send("live"))
        # The longest line that a body can make: each character is six on the wire.
        body = json.dumps({"to": "delta", "body": "\x85" * 32_000}, ensure_ascii=False).encode()
        each_has(hub.client("n2").call("POST", "/api/send", body).body["id"])
        hub.stop()
        hub.start()
        each_has(send("after a restart"), send("and another"))
        hub.kill()
        hub.start()
        each_has(send("after a kill"))
        hub.stop()
        refuse_all(hub.port, len(listeners))
        hub.start()
        each_has(send("after a proxy's refusal"))
        assert all(one.is_running() for one in listeners.values())


def test_those_that_tell_a_refused_token_apart_end(hub: HubProcess, tmp_path: Path) -> None:
    hub.enrol(tokens=[{"node": "n3", "sha256": ["0" * 64]}])
    with listening(hub, tmp_path, set(ALL) - {"listen.sh"}) as listeners:
        assert 0 not in [one.exit_code() for one in listeners.values()]


def test_the_page_has_a_listener_for_each_library() -> None:
    assert set(LISTENERS) == {
        "listen_httpx.py", "listen_sseclient.py", "listen_aiohttp.py", "listen.mjs", "listen.sh",
    }  # fmt: skip
    assert shutil.which("curl")


def test_none_of_them_is_given_an_event_without_data(hub: HubProcess, tmp_path: Path) -> None:
    """A first try with httpx-sse reads every event, whatever its name, as JSON."""
    script = tmp_path / "naive.py"
    script.write_text(
        "import httpx, httpx_sse, json, os\n"
        "token = {'Authorization': 'Bearer token-n3'}\n"
        "with httpx_sse.connect_sse(httpx.Client(trust_env=False), 'GET', os.environ['URL'],\n"
        "                           headers=token) as source:\n"
        "    for event in source.iter_sse():\n"
        "        print(event.event, json.loads(event.data)['to_agent'], flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "URL": f"http://127.0.0.1:{hub.port}/api/stream"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "hello None\n"
    hub.client("n2").send("over several keepalives", to="delta")
    assert process.stdout.readline() == "message delta\n"
    hub.stop()
    assert process.communicate(timeout=patience())[0] == "bye None\n"
    assert process.returncode == 0
