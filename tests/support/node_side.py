"""Real processes for tests of the node side: hub, gateway stand-in, watcher, command line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from agent_bus_client.errors import NotConnectedError
from agent_bus_client.net import http1
from agent_bus_client.net.deadline import Deadline
from agent_bus_client.outbox.folder import Outbox
from tests.support.guard import marked
from tests.support.nursery import served
from tests.support.patience import patience, wait_until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.nursery import Child

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "files"
_OLDEST = ROOT / ".cache" / "oldest-python" / "bin" / "python3"
NODE_PYTHON = str(_OLDEST) if _OLDEST.exists() else sys.executable
"""The Python of watchers and command lines: 3.9 if tools/oldest-python could get it."""
STANDIN = ROOT / "lab" / "gateway_standin" / "gateway_standin.py"
ADMIN_TOKEN = "a" * 43
NODE_TOKEN = "n" * 43
HOOK_TOKEN = "h" * 43
until = wait_until


def fetch(
    url: str,
    path: str,
    *,
    method: str = "GET",
    token: str = "",
    body: object = None,
    ca_file: str | None = None,
) -> http1.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    raw = None if body is None else json.dumps(body).encode()
    server = http1.Server(url, ca_file=ca_file)
    deadline = Deadline.after(patience())
    try:
        return http1.exchange(server, method, path, headers=headers, body=raw, deadline=deadline)
    except NotConnectedError as error:
        raise ConnectionError(str(error)) from error


class Process:
    """A child whose output goes to a file; it is ended with its process group."""

    def __init__(
        self,
        program: list[str] | Callable[[IO[bytes]], Child | subprocess.Popen[bytes]],
        log: Path,
        *,
        env: dict[str, str] | None = None,
        fds: tuple[int, ...] = (),
    ) -> None:
        """Start a command, or call `program` with the file for the output."""
        self.log = log
        self.child: Child | subprocess.Popen[bytes]
        with log.open("ab") as file:
            if callable(program):
                self.child = program(file)
                return
            self.child = subprocess.Popen(
                program,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env=marked(**(env or {})),
                start_new_session=True,
                pass_fds=fds,
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, wait, and return the exit code."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            return self.child.wait(patience())
        finally:
            self.kill()

    def signal_group(self, number: int) -> None:
        """Signal it and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)

    def kill(self) -> None:
        self.signal_group(signal.SIGKILL)
        self.child.wait()

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged as JSON."""
        raw = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in raw if line.startswith("{")]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]


class StandinProcess:
    """The gateway stand-in, as a process."""

    def __init__(self, folder: Path, agents: tuple[str, ...], *, port: int = 0) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.agents = agents
        self.port = port
        self.configure()
        self.start()

    def configure(self, **hooks: object) -> None:
        """Write openclaw.json; `hooks` replaces single keys of its hooks section."""
        mappings = [
            {
                "id": f"agent-bus-{name}",
                "match": {"path": f"agent-bus/{name}"},
                "action": "agent",
                "agentId": name,
                "messageTemplate": f"agent-bus: unread messages for {name}.",
            }
            for name in self.agents
        ]
        config = {
            "agents": {"ownership": "explicit", "entries": {name: {} for name in self.agents}},
            "hooks": {"enabled": True, "token": HOOK_TOKEN, "mappings": mappings, **hooks},
        }
        (self.folder / "openclaw.json").write_text(json.dumps(config), encoding="utf-8")

    def standin(self, **settings: object) -> None:
        (self.folder / "standin.json").write_text(json.dumps(settings), encoding="utf-8")

    def start(self) -> None:
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        argv = [sys.executable, str(STANDIN), "--state-dir", str(self.folder)]
        argv += ["--port", str(self.port), "--port-file", str(port_file)]
        self.process = Process(argv, self.folder / "gateway.log")
        self.port = int(until(lambda: port_file.exists() and port_file.read_text(), what="port"))
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.stop(signal.SIGKILL)

    def fault(self, mode: str, **more: object) -> None:
        fetch(self.url, "/standin/faults", method="POST", body={"mode": mode, **more})

    def wakes(self, agent: str | None = None) -> list[dict[str, Any]]:
        """Return all accepted wakes, including those of earlier runs."""
        path = self.folder / "standin-wakes.jsonl"
        if not path.exists():
            return []
        wakes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [wake for wake in wakes if agent in {None, wake["agent"]}]


class HubWithNodes:
    """The real server as a process, with the roster of these nodes."""

    def __init__(
        self,
        folder: Path,
        nodes: dict[str, tuple[str, ...]],
        *,
        listen: str = "127.0.0.1",
        ca_file: str | None = None,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.listen = listen
        folder.mkdir(exist_ok=True)
        self.port = int(str(settings.pop("port", 0))) or free_port()
        self.nodes = nodes
        self.settings = settings
        self.ca_file = ca_file
        self.start()
        self.put_roster()

    @property
    def url(self) -> str:
        scheme = "https" if "tls_key_file" in self.settings else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.launch()
        try:
            until(self._ready, what="hub is ready")
        except BaseException:
            self.process.kill()
            raise

    def launch(self) -> None:
        """Start the process without waiting for it."""
        digest = hashlib.sha256(ADMIN_TOKEN.encode()).hexdigest()
        tokens = self.folder / "admin-tokens"
        tokens.write_text(digest + "\n", encoding="ascii")
        config = {
            "bind": f"{self.listen}:{self.port}",
            "database": str(self.folder / "bus.db"),
            "admin_tokens_file": str(tokens),
            "retry_ms": 200,
            **self.settings,
        }
        path = self.folder / "hub.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        self.process = Process(partial(served, path), self.folder / "hub.log")

    def _ready(self) -> bool:
        assert self.process.child.poll() is None, self.process.log.read_text()
        try:
            return fetch(self.url, "/readyz", ca_file=self.ca_file).status == 200
        except OSError:
            return False

    def put_roster(self, **more: object) -> None:
        """Put the nodes' roster; `more` of it, such as groups and rules."""
        roster = {
            "agents": [{"name": a, "node": n} for n, names in self.nodes.items() for a in names],
            "groups": {},
            "tokens": [
                {"node": node, "sha256": [hashlib.sha256(token_of(node).encode()).hexdigest()]}
                for node in self.nodes
            ],
            **more,
        }
        answer = self.call("PUT", "/api/agents", roster)
        assert answer["changed"] in {True, False}

    def call(self, method: str, path: str, body: object = None, token: str = ADMIN_TOKEN) -> Any:
        answer = fetch(self.url, path, method=method, token=token, body=body, ca_file=self.ca_file)
        assert answer.status < 300, (answer.status, answer.body)
        return json.loads(answer.body) if answer.body else None

    def send(self, to: str | list[str] | None, body: str = "hello") -> dict[str, Any]:
        """Send as the operator; None is a broadcast."""
        request = {"from": "operator", "body": body}
        sent: dict[str, Any] = self.call(
            "POST", "/api/send", request if to is None else {**request, "to": to}
        )
        return sent

    def timeline(self, message_id: str, agent: str) -> dict[str, Any]:
        message = self.call("GET", f"/api/messages/{message_id}")
        found: dict[str, Any] = next(d for d in message["deliveries"] if d["agent"] == agent)
        return found

    def agent(self, name: str) -> dict[str, Any]:
        roster = self.call("GET", "/api/agents")
        found: dict[str, Any] = next(a for a in roster["agents"] if a["name"] == name)
        return found


class Node:
    """One node: settings, secrets, watcher and command line."""

    def __init__(
        self, folder: Path, name: str, hub_url: str, agents: list[dict[str, Any]], **more: object
    ) -> None:
        self.within: list[str] = []  # a command that runs the others, such as `unshare`
        self.folder = folder
        self.name = name
        for part in ("", "state", "outbox", "secrets"):
            (folder / part).mkdir(exist_ok=True)
        (folder / "secrets" / "node-token").write_text(token_of(name), encoding="ascii")
        (folder / "secrets" / "hook-token").write_text(HOOK_TOKEN, encoding="ascii")
        self.settings: dict[str, object] = {
            "node": name,
            "hub_url": hub_url,
            "agents": agents,
            "state_dir": str(folder / "state"),
            "outbox_dir": str(folder / "outbox"),
            "presence_interval_s": 1,
            **more,
        }
        self.config = folder / "node.json"
        self.write()

    def write(self) -> None:
        self.config.write_text(json.dumps(self.settings), encoding="utf-8")

    def outbox_file(self, key: str, request: dict[str, Any]) -> None:
        """Put a message into the outbox."""
        Outbox(self.folder / "outbox").add(key, request)

    def env(self) -> dict[str, str]:
        return {
            "AGENT_BUS_CONFIG": str(self.config),
            "AGENT_BUS_TOKEN_FILE": str(self.folder / "secrets" / "node-token"),
            "CREDENTIALS_DIRECTORY": str(self.folder / "secrets"),
        }

    def start(self, **env: str) -> Process:
        code = launcher(
            f"from agent_bus_client.__main__ import watch; x(watch({str(self.config)!r}))"
        )
        argv = [*self.within, NODE_PYTHON, "-I", "-S", "-c", code]
        self.watcher = Process(argv, self.folder / "watcher.log", env={**self.env(), **env})
        return self.watcher

    def cli(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `agent-bus` and return its output and exit code."""
        code = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
        argv = [*self.within, NODE_PYTHON, "-I", "-S", "-c", code, *arguments]
        return subprocess.run(
            argv,
            env={**os.environ, **self.env(), **(env or {})},
            input=stdin or "",
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=patience(),
            check=False,
        )


def launcher(code: str) -> str:
    """Return what the installed launchers run: with the standard library and the release only."""
    return f"import sys; x = sys.exit; sys.path.insert(0, {str(FILES)!r}); {code}"


def token_of(node: str) -> str:
    return (node.replace(".", "-") + NODE_TOKEN)[:43]
