#!/usr/bin/python3
"""A test double of the language model, and of nothing else: it plays an agent by a script.

Speaks OpenAI's chat completions, streamed or not, on loopback of the host it runs on. The script
does what the bus's skill teaches: a user who asks for it has the agent send a message; a wake has
it read the skill, then its inbox, answer what is no answer itself, and ack all of it. A user may
also keep it busy. Each call
is one line in the log: when, for whom, which tool was asked for.

Standard library only; runs in a container of the lab on Debian's own Python.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WAKE = re.compile(r"agent-bus: unread messages for (?P<agent>[a-z0-9_-]+)")
ORDER = re.compile(r"Ask (?P<recipient>[a-z0-9_-]+) over the agent bus as (?P<sender>[a-z0-9_-]+)")
BUSY = "Think until you are released"
HOLD_S = 600  # longest: a test that died releases nobody
SKILL = re.compile(r"<location>(?P<path>[^<]*/agent-bus/SKILL\.md)</location>")
HEAD = re.compile(r"^(?P<id>[0-9A-HJKMNP-TV-Z]{26}) from [^\n]*$(?!\n  shown )", re.MULTILINE)
"""A message of the inbox; not one that another turn of the agent has in hand."""

SILENT = "NO_REPLY"  # what a woken agent says when its user need not hear anything

Call = tuple[str, dict[str, str]]
"""A tool and its arguments; when the turn ends no tool, but the answer, and whether it is held."""


def text_of(message: dict[str, Any]) -> str:
    """Return a message's words, whichever of the two forms they have."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)


def next_call(messages: list[dict[str, Any]]) -> Call:
    """Return what the agent does next, from the whole conversation so far.

    OpenClaw puts the user's words (for a wake: the heartbeat prompt) before the turn's tool calls
    and what the system has to say, the wake's text among it, into a last message behind them.
    """
    asked = max(n for n, m in enumerate(messages) if m["role"] == "user" and not is_context(m))
    results = [text_of(message) for message in messages[asked:] if message["role"] == "tool"]
    context = "\n".join(text_of(message) for message in messages[asked:] if is_context(message))
    if wake := WAKE.search(context) or WAKE.search(text_of(messages[asked])):
        system = "\n".join(text_of(m) for m in messages if m["role"] in {"system", "developer"})
        skill = SKILL.search(system)
        return woken(wake["agent"], skill["path"] if skill else "", results)
    if BUSY in text_of(messages[asked]):
        return "", {"answer": "Done.", "held": "until /release"}
    order = ORDER.search(text_of(messages[asked]))
    if order and not results:
        sender, recipient = order["sender"], order["recipient"]
        send = f"agent-bus send --as {sender} --to {recipient} 'How are you?'"
        return "exec", {"command": send}
    return "", {"answer": "Done." if order else SILENT}


def is_context(message: dict[str, Any]) -> bool:
    """Tell whether OpenClaw added this message; no user wrote it."""
    return "BEGIN_OPENCLAW_INTERNAL_CONTEXT" in text_of(message)


def woken(agent: str, skill: str, results: list[str]) -> Call:
    """Return the next step of a woken agent; `results` are those of its steps so far."""
    if skill and not results:
        return "read", {"path": skill}
    done = results[1:] if skill else results
    if not done:
        return "exec", {"command": f"agent-bus inbox --as {agent}"}
    heads = list(HEAD.finditer(done[0]))
    steps = [
        f"agent-bus reply --as {agent} {head['id']} 'Fine, thank you.'"
        for head in heads
        if "in reply to" not in head[0]
    ]
    if heads:
        steps.append(f"agent-bus ack --as {agent} {' '.join(head['id'] for head in heads)}")
    if len(done) <= len(steps):
        return "exec", {"command": steps[len(done) - 1]}
    return "", {"answer": SILENT}


class Handler(BaseHTTPRequestHandler):
    """HTTP in front of the script."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer the list of models; `/release` ends what is held."""
        if self.path == "/release":
            self.server.released.set()
        self._json({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        """Answer one chat completion."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = json.loads(raw)
        tool, arguments = next_call(request["messages"])
        known = [entry["function"]["name"] for entry in request.get("tools", [])]
        self.server.note(request["messages"], tool, arguments, known)
        if "held" in arguments:
            self.server.released.wait(HOLD_S)
        message: dict[str, Any] = {"role": "assistant", "content": arguments.get("answer")}
        if tool:
            call = {"name": tool, "arguments": json.dumps(arguments)}
            entry = {"id": f"call_{time.time_ns()}", "type": "function", "function": call}
            message["tool_calls"] = [entry]
        finish = "tool_calls" if tool else "stop"
        if request.get("stream"):
            self._stream(message, finish)
        else:
            self._json(completion("chat.completion", "message", message, finish))

    def log_message(self, *_: Any) -> None:
        """Keep the journal quiet; the calls are in the log."""

    def _json(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, message: dict[str, Any], finish: str) -> None:
        delta = dict(message)
        if "tool_calls" in delta:
            delta["tool_calls"] = [{"index": 0, **delta["tool_calls"][0]}]
        kind = "chat.completion.chunk"
        chunks = [completion(kind, "delta", delta, None), completion(kind, "delta", {}, finish)]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in [*map(json.dumps, chunks), "[DONE]"]:
            self.wfile.write(f"data: {chunk}\n\n".encode())
        self.close_connection = True


def completion(
    kind: str, part: str, message: dict[str, Any], finish: str | None
) -> dict[str, Any]:
    """Return one answer, or one chunk of a streamed one."""
    return {
        "id": "chatcmpl-scripted",
        "object": kind,
        "created": int(time.time()),
        "model": "scripted",
        "choices": [{"index": 0, part: message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


class Server(ThreadingHTTPServer):
    """The server and its log."""

    daemon_threads = True

    def __init__(self, port: int, log: Path) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._log = log
        self.released = threading.Event()

    def note(
        self,
        messages: list[dict[str, Any]],
        tool: str,
        arguments: dict[str, str],
        known: list[str],
    ) -> None:
        """Write one call down: one write, so that calls at once do not mix."""
        line: dict[str, Any] = {"at": time.time(), "tool": tool, **arguments, "known": known}
        line["seen"] = [[m["role"], text_of(m)[:500]] for m in messages]
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8390)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    Server(given.port, given.log).serve_forever()


if __name__ == "__main__":
    main()
