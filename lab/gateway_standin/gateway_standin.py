#!/usr/bin/python3
"""A stand-in for an OpenClaw gateway's hooks, for the lab and the tests only.

It answers the HTTP calls of the watcher in the way that OpenClaw 2026.9 was measured to answer
them. It remembers every wake with its time, so that a test can ask what woke whom. It runs no
model. README.md beside this file says what is imitated and what is not.

Threads: one per connection (http.server), one timer per wake that starts the scripted turn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from lab.gateway_standin.turns import Turns
else:
    from turns import Turns  # beside this file, which is started as a program

MAX_BODY_BYTES = 256 * 1024  # OpenClaw's own limit
MAX_PENDING = 20  # events per session; past it the oldest is lost, as in OpenClaw
FAILURES_ALLOWED = 20  # wrong tokens per window; the next one gets 429
FAILURE_WINDOW_S = 60
TURN_LIMIT_S = 60


class AnswerError(Exception):
    """Ends a request with this status; the answer is JSON with `error`, or plain `text`."""

    def __init__(self, status: int, message: str, *, text: bool = False, retry_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.text = text
        self.retry_s = retry_s


class Gateway:
    """What the stand-in knows: settings (read again after a change), queues, wakes, faults.

    `state_dir` holds openclaw.json, standin.json (optional) and standin-wakes.jsonl. All methods
    may be called from any thread.
    """

    def __init__(self, state_dir: Path, config_path: Path) -> None:
        self.state_dir = state_dir
        self._files = {"openclaw": config_path, "standin": state_dir / "standin.json"}
        self._cache: dict[str, tuple[int, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._turns = Turns(lambda: self.settings("standin"))
        self._pending: dict[str, list[str]] = {}
        self._wakes: list[dict[str, Any]] = []
        self._failures: list[float] = []
        self._fault: dict[str, Any] = {"mode": "ok"}
        self._fault_ends = 0.0

    def settings(self, name: str) -> dict[str, Any]:
        """Return the parsed file, read again only if its time stamp has changed."""
        path = self._files[name]
        try:
            stamp = path.stat().st_mtime_ns
            with self._lock:
                known = self._cache.get(name)
            if known and known[0] == stamp:
                return known[1]
            parsed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        with self._lock:
            self._cache[name] = (stamp, parsed)
        return parsed

    def agents(self) -> list[str]:
        """Return the agent ids, the default one first; only `main` if none is set."""
        roster = self.settings("openclaw").get("agents", {})
        ids = [str(name).lower() for name in roster.get("entries", {})]
        default = roster.get("defaults", {}).get("systemAgent", {}).get("agentId")
        for entry in roster.get("list", []):
            ids.append(str(entry["id"]).lower())
            default = entry["id"] if entry.get("default") else default
        ids = ids or ["main"]
        first = str(default or ids[0]).lower()
        return [first, *(name for name in ids if name != first)]

    def older(self) -> bool:
        """Tell whether to behave as before 2026.8.1, when the wake hook ignored `agentId`."""
        return bool(self.settings("standin").get("older"))

    def check_token(self, authorization: str, query: str) -> None:
        """Check the hook token as OpenClaw does.

        Raises:
            AnswerError: 404 hooks are off, 400 token in the address, 401 wrong, 429 too often
                wrong.
        """
        hooks = self.settings("openclaw").get("hooks", {})
        if not hooks.get("enabled") or not hooks.get("token"):
            raise AnswerError(404, "Not Found", text=True)
        if "token" in parse_qs(query):
            raise AnswerError(400, "token must not be in the query", text=True)
        now = time.monotonic()
        with self._lock:
            if authorization == f"Bearer {hooks['token']}":
                self._failures.clear()
                return
            self._failures = [at for at in self._failures if at > now - FAILURE_WINDOW_S]
            self._failures.append(now)
            blocked = len(self._failures) > FAILURES_ALLOWED
        if blocked:
            raise AnswerError(429, "Too Many Requests", text=True, retry_s=FAILURE_WINDOW_S)
        raise AnswerError(401, "Unauthorized", text=True)

    def hook(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Run one hook call and return its JSON answer; `path` is what follows `/hooks/`.

        Raises:
            AnswerError: 400 or 404 as OpenClaw answers them.
        """
        if path == "wake":
            text = str(payload.get("text") or "").strip()
            if not text:
                raise AnswerError(400, "text required")
            older = self.older()
            agent = self.agents()[0] if older else self._agent(payload.get("agentId"))
            outcome = self.wake(agent, "/hooks/wake", text)
            answer = {"ok": True, "mode": "now"}
            return answer if older else {**answer, "eventOutcome": outcome}
        if path == "agent":
            text = str(payload.get("message") or "").strip()
            if not text:
                raise AnswerError(400, "message required")
            return self._run(self._agent(payload.get("agentId")), "/hooks/agent", text)
        for mapping in self.settings("openclaw").get("hooks", {}).get("mappings", []):
            if mapping.get("match", {}).get("path", "").strip("/") == path:
                text = str(mapping.get("messageTemplate") or mapping.get("textTemplate") or path)
                agent = self._agent(mapping.get("agentId"))
                if mapping.get("action") == "wake":
                    return {"ok": True, "eventOutcome": self.wake(agent, f"/hooks/{path}", text)}
                return self._run(agent, f"/hooks/{path}", text)
        raise AnswerError(404, "Not Found", text=True)

    def wake(self, agent: str, path: str, text: str) -> str:
        """Queue the text for the main session and start a turn; return `queued` or `coalesced`."""
        with self._lock:
            queue = self._pending.setdefault(agent, [])
            outcome = "coalesced" if queue and queue[-1] == text else "queued"
            if outcome == "queued":
                queue.append(text)
                del queue[:-MAX_PENDING]
            first = outcome == "queued" and len(queue) == 1
        self._record(agent, path, text, outcome)
        if first:
            self._later(self._main_turn, agent)
        return outcome

    def wakes(self, since: int) -> list[dict[str, Any]]:
        """Return the recorded wakes with a number above `since`, oldest first."""
        with self._lock:
            return [wake for wake in self._wakes if wake["n"] > since]

    def set_fault(self, fault: dict[str, Any]) -> None:
        """Answer as `fault` says from now on: mode, and optionally seconds, agent, delay_s."""
        seconds = float(fault.get("seconds") or 0)
        with self._lock:
            self._fault = fault
            self._fault_ends = time.monotonic() + (seconds or 1e9)

    def fault(self, agent: str | None = None) -> dict[str, Any]:
        """Return the fault in force for calls about this agent; mode `ok` stands for none."""
        with self._lock:
            only = self._fault.get("agent")
            over = time.monotonic() >= self._fault_ends
            return {"mode": "ok"} if over or (only and only != agent) else self._fault

    def _agent(self, wanted: Any) -> str:  # noqa: ANN401 - straight from JSON
        known = self.agents()
        if not wanted:
            return known[0]
        name = str(wanted).lower()
        if name not in known:
            if self.older():
                return known[0]
            raise AnswerError(400, f'unknown agentId "{wanted}"')
        allowed = self.settings("openclaw").get("hooks", {}).get("allowedAgentIds")
        if allowed is not None and "*" not in allowed and name not in [a.lower() for a in allowed]:
            raise AnswerError(400, "agentId is not allowed by hooks.allowedAgentIds")
        return name

    def _run(self, agent: str, path: str, text: str) -> dict[str, Any]:
        self._record(agent, path, text, "started")
        self._later(self._run_turn, agent)
        return {"ok": True, "runId": str(uuid.uuid4())}

    def _record(self, agent: str, path: str, text: str, outcome: str) -> None:
        with self._lock:
            wake = {
                "n": len(self._wakes) + 1,
                "at": time.time(),
                "agent": agent,
                "path": path,
                "text": text,
                "outcome": outcome,
            }
            self._wakes.append(wake)
            with (self.state_dir / "standin-wakes.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(wake) + "\n")

    def _later(self, call: Any, agent: str) -> None:  # noqa: ANN401 - a bound method
        delay_s = float(self.settings("standin").get("turn_delay_s", 0.05))
        timer = threading.Timer(delay_s, call, (agent,))
        timer.daemon = True
        timer.start()

    def _main_turn(self, agent: str) -> None:
        with self._turns.woken(agent):  # pending events are taken when the turn starts
            with self._lock:
                self._pending[agent] = []
            self._turn(agent)

    def _run_turn(self, agent: str) -> None:
        with self._turns.isolated(agent):
            self._turn(agent)

    def _turn(self, agent: str) -> None:
        argv = [
            part.replace("{agent}", agent) for part in self.settings("standin").get("turn", [])
        ]
        if not argv:
            return
        workspace = self.state_dir / ("workspace" if agent == "main" else f"workspace-{agent}")
        cwd = workspace if workspace.is_dir() else self.state_dir
        try:
            subprocess.run(argv, cwd=cwd, timeout=TURN_LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"stand-in: the scripted turn of {agent} failed: {error}", flush=True)


class Handler(BaseHTTPRequestHandler):
    """HTTP in front of `Gateway`, which hangs on the server object."""

    protocol_version = "HTTP/1.1"
    server_version = "gateway-standin"
    server: Server

    def do_GET(self) -> None:
        """Answer /healthz, /readyz and /standin/wakes; hooks answer GET with 405."""
        self._guarded(self._get)

    def do_POST(self) -> None:
        """Answer /hooks/... and /standin/faults."""
        self._guarded(self._post)

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - http.server's signature
        """Keep the journal quiet; the wakes are in standin-wakes.jsonl."""

    def _guarded(self, answer: Any) -> None:  # noqa: ANN401 - a bound method
        try:
            answer()
        except AnswerError as error:
            self._reply(error.status, error.message, text=error.text, retry_s=error.retry_s)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _get(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/standin/wakes":
            since = int(parse_qs(address.query).get("since", ["0"])[0])
            self._reply(200, {"wakes": self.server.gateway.wakes(since)})
        elif address.path in {"/healthz", "/readyz", "/startupz"}:
            self._fault(None, hooks=False)
            self._reply(200, {"ok": True, "status": "live"})
        elif address.path.startswith(self._hooks_path()):
            raise AnswerError(405, "Method Not Allowed", text=True)
        else:
            raise AnswerError(404, "Not Found", text=True)

    def _post(self) -> None:
        address = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            raise AnswerError(413, "payload too large")
        raw = self.rfile.read(length)
        if address.path == "/standin/faults":
            self.server.gateway.set_fault(self._json(raw))
            self._reply(200, {"ok": True})
            return
        base = self._hooks_path()
        if not address.path.startswith(base):
            raise AnswerError(404, "Not Found", text=True)
        name = address.path[len(base) :].strip("/")
        self._fault(self._named_agent(name, raw), hooks=True)
        self.server.gateway.check_token(self.headers.get("Authorization", ""), address.query)
        self._reply(200, self.server.gateway.hook(name, self._json(raw)))

    def _hooks_path(self) -> str:
        hooks = self.server.gateway.settings("openclaw").get("hooks", {})
        return str(hooks.get("path", "/hooks")).rstrip("/") + "/"

    @staticmethod
    def _json(raw: bytes) -> dict[str, Any]:
        try:
            payload = json.loads(raw or b"{}")
        except ValueError:
            raise AnswerError(400, "invalid JSON") from None
        if not isinstance(payload, dict):
            raise AnswerError(400, "an object is expected")
        return payload

    @staticmethod
    def _named_agent(name: str, raw: bytes) -> str | None:
        try:
            named = json.loads(raw).get("agentId")
        except (ValueError, AttributeError):
            named = None
        return str(named) if named else name.rpartition("/")[2]

    def _fault(self, agent: str | None, *, hooks: bool) -> None:
        fault = self.server.gateway.fault(agent)
        mode = fault["mode"]
        if mode == "slow":
            time.sleep(float(fault.get("delay_s", 2)))
        elif mode == "503":
            retry_s = int(fault.get("retry_after_s", 1))
            raise AnswerError(503, "service_unavailable", retry_s=retry_s)
        elif mode == "401" and hooks:
            raise AnswerError(401, "Unauthorized", text=True)
        elif mode == "429" and hooks:
            retry_s = int(fault.get("retry_after_s", FAILURE_WINDOW_S))
            raise AnswerError(429, "Too Many Requests", text=True, retry_s=retry_s)
        elif mode == "hang":
            while self.server.gateway.fault(agent)["mode"] == "hang":
                time.sleep(0.05)
            raise ConnectionResetError
        elif mode == "die":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{")
            raise ConnectionResetError

    def _reply(self, status: int, body: Any, *, text: bool = False, retry_s: int = 0) -> None:  # noqa: ANN401 - any JSON
        if text:
            raw = str(body).encode()
        else:
            raw = json.dumps(
                body if isinstance(body, dict) else {"ok": False, "error": body}
            ).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain" if text else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_s:
            self.send_header("Retry-After", str(retry_s))
        self._headers_buffer.append(b"\r\n" + raw)  # type: ignore[attr-defined]  # head and body in one packet
        self.flush_headers()


class Server(ThreadingHTTPServer):
    """The listening socket, with the gateway behind it."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], gateway: Gateway) -> None:
        super().__init__(address, Handler)
        self.gateway = gateway


def main() -> None:
    """Serve until the process is ended."""
    home = Path(os.environ.get("OPENCLAW_STATE_DIR") or Path.home() / ".openclaw")
    parser = argparse.ArgumentParser(
        description="Stand-in for an OpenClaw gateway (lab and tests)."
    )
    parser.add_argument("--state-dir", type=Path, default=home, help="folder of openclaw.json")
    parser.add_argument("--port", type=int, help="default: gateway.port of the config, else 18789")
    parser.add_argument("--port-file", type=Path, help="write the bound port here (for --port 0)")
    options = parser.parse_args()
    options.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    default = options.state_dir / "openclaw.json"
    gateway = Gateway(options.state_dir, Path(os.environ.get("OPENCLAW_CONFIG_PATH") or default))
    port = options.port
    if port is None:
        port = int(gateway.settings("openclaw").get("gateway", {}).get("port", 18789))
    server = Server(("127.0.0.1", port), gateway)
    if options.port_file:
        options.port_file.write_text(str(server.server_port), encoding="ascii")
    print(f"gateway stand-in listens on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
