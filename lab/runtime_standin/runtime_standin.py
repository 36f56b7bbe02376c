#!/usr/bin/python3
"""Stands in for Claude Code and Codex, see README.md."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

VERSIONS = {"claude": "2.1.332 (stand-in)", "codex": "codex-cli 0.171.0 (stand-in)"}
POLL_S = 0.02
LINGER = ["sleep", "3600"]


def main(arguments: list[str]) -> int:
    """Take one turn and return the exit code."""
    kind = "codex" if arguments[:1] == ["exec"] or "codex" in Path(sys.argv[0]).name else "claude"
    if arguments == ["--version"]:
        print(VERSIONS[kind])
        return 0
    home = Path(os.environ["HOME"])
    settings = _settings(home)
    session, resumed = _session(kind, arguments)
    known = home / "standin-sessions" / session
    if resumed and not known.exists():
        print(_missing(kind, session), file=sys.stderr)
        return 1
    known.parent.mkdir(exist_ok=True)
    known.touch()
    if settings.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begun = {
        "event": "begun",
        "pid": os.getpid(),
        "session": session,
        "resumed": resumed,
        "prompt": sys.stdin.read(),
        "variables": sorted(os.environ),
        "arguments": arguments,
    }
    _note(home, begun)
    _say({"type": "system", "subtype": "init", "session_id": session}, kind, "claude")
    _say({"type": "thread.started", "thread_id": session}, kind, "codex")
    if settings.get("linger"):
        child = subprocess.Popen(LINGER, start_new_session=True, env={})
        _note(home, {"event": "lingers", "pid": child.pid})
    while settings.get("hold") and not (home / "standin-go").exists():
        time.sleep(POLL_S)
    if "turn" in settings:
        subprocess.run(settings["turn"], stdout=sys.stderr, check=False)
    failed = str(settings.get("fail") or "")
    words = failed or "done"
    result = {"type": "result", "is_error": bool(failed), "result": words, "session_id": session}
    _say(result, kind, "claude")
    trouble = {"type": "turn.failed", "error": {"message": words}}
    item = {"type": "item.completed", "item": {"type": "agent_message", "text": words}}
    _say(trouble if failed else item, kind, "codex")
    _note(home, {"event": "ended", "pid": os.getpid(), "session": session})
    return 1 if failed else 0


def _settings(home: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((home / "standin.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _session(kind: str, arguments: list[str]) -> tuple[str, bool]:
    """Return the conversation's id and whether it is an old one."""
    if kind == "codex":
        resumed = arguments[1:2] == ["resume"]
        return (arguments[-2], True) if resumed else (str(uuid.uuid4()), False)
    resumed = "--resume" in arguments
    return arguments[arguments.index("--resume" if resumed else "--session-id") + 1], resumed


def _missing(kind: str, session: str) -> str:
    if kind == "codex":
        return f"Error: thread/resume failed: no rollout found for thread id {session}"
    return f"No conversation found with session ID: {session}"


def _note(home: Path, line: dict[str, Any]) -> None:
    with (home / "standin-turns.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": time.monotonic(), **line}) + "\n")


def _say(line: dict[str, Any], kind: str, wanted: str) -> None:
    if kind == wanted:
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
