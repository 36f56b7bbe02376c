"""The turn service of one agent as a real process, with the socket that systemd would hold."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.guard import VARIABLE, mark
from tests.support.node_side import NODE_PYTHON, ROOT, Node, Process, launcher, until
from tests.support.patience import patience

STANDIN = ROOT / "lab" / "runtime_standin" / "runtime_standin.py"
USER = pwd.getpwuid(os.geteuid()).pw_name


class TurnSide:
    """Home, folder and socket of an agent whose turns are taken by the runtime stand-in."""

    def __init__(self, folder: Path, agent: str, *, waker: str = "claude-code") -> None:
        self.agent = agent
        self.home = folder / "home"
        self.work = folder / "work"
        self.state = folder / "turns"
        for made in (self.home, self.work, self.state):
            made.mkdir(parents=True)
        self.program = self.home / ("codex" if waker == "codex" else "claude")
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {STANDIN} "$@"\n')
        self.program.chmod(0o755)
        self.variables = self.home / "environment"
        self.sockets = Path(tempfile.mkdtemp(prefix="turns"))  # a socket's path may be 107 long
        self.settings: dict[str, object] = {
            "name": agent,
            "waker": waker,
            "user": USER,
            "folder": str(self.work),
            "program": str(self.program),
            "environment_file": str(self.variables),
        }
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.sockets / f"{agent}.sock"))
        self.listener.listen()
        self.service: Process | None = None

    def start(self, node: Node, *, idle_s: float = 3600) -> Process:
        """Start the service as systemd would when somebody connects."""
        variables = {"HOME": str(self.home), "API_KEY": "'a b'", VARIABLE: mark(), **node.env()}
        lines = "".join(f"{name}={value}\n" for name, value in variables.items())
        self.variables.write_text(f"# for turns\n\n{lines}")
        code = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
        argv = [NODE_PYTHON, "-I", "-S", "-c", code, "turns", str(node.config), self.agent]
        inherited = self.listener.fileno()
        os.set_inheritable(inherited, True)
        given = f'exec env LISTEN_FDS=1 LISTEN_PID=$$ "$0" "$@" 3<&{inherited}'
        env = {
            **node.env(),
            "STATE_DIRECTORY": str(self.state),
            "AGENT_BUS_IDLE_S": str(idle_s),
            "LEAKED": "x",
        }
        self.service = Process(
            ["bash", "-c", given, *argv], self.state / "service.log", env=env, fds=(inherited,)
        )
        return self.service

    def configure(self, **settings: object) -> None:
        """Say what the next turns do, see lab/runtime_standin."""
        (self.home / "standin.json").write_text(json.dumps(settings), encoding="utf-8")

    def proven(self) -> None:
        """Have it that a turn went well before: a wake is then answered when its turn begins."""
        known = {"id": "", "waker": "", "folder": "", "failures": 0, "trouble": "", "proven": True}
        (self.state / "session.json").write_text(json.dumps(known), encoding="utf-8")

    def go(self) -> None:
        """Let turns that hold come to their end."""
        (self.home / "standin-go").touch()

    def reads_mail(self, **settings: object) -> None:
        """Have turns read and ack their mail with the real command line."""
        code = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
        inbox = ("inbox", "--as", self.agent, "--ack", "--limit", "100")
        turn = [NODE_PYTHON, "-I", "-S", "-c", code, *inbox]
        self.configure(turn=turn, **settings)

    def notes(self, event: str = "begun") -> list[dict[str, Any]]:
        """Return what the stand-in has noted of its turns."""
        path = self.home / "standin-turns.jsonl"
        if not path.exists():
            return []
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["event"] == event]

    def ask(self, question: str) -> dict[str, Any]:
        """Ask as the watcher does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience())
            connection.connect(str(self.sockets / f"{self.agent}.sock"))
            connection.sendall(f"{question}\n".encode())
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        return answer

    def ended(self, count: int) -> None:
        """Wait until so many turns have ended by themselves."""
        until(lambda: len(self.notes("ended")) >= count, what=f"{count} turns have ended")

    def close(self) -> None:
        """End all and remove the socket; what a test has left running is killed."""
        if self.service:
            self.service.kill()
        for note in [*self.notes("lingers"), *self.notes("begun")]:
            if alive(note["pid"]):
                os.kill(note["pid"], signal.SIGKILL)
        self.listener.close()
        shutil.rmtree(self.sockets)


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that only waits to be collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
