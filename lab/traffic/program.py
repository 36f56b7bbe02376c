"""Traffic of one host of the lab: sends as its agents, listens, and notes what it was told.

Its unit starts it at boot, and again whenever it dies. It has three threads. Each notes JSON lines
in a file of its own in the state folder, one `write` per line, so that a kill loses no note:

accepted-cli    what `agent-bus send` accepted: sent, or kept in the outbox
accepted-http   what the hub accepted; one key per message, tried until there is an answer
heard           every message of a stream of this node, resumed where the last line ends

Nothing is sent before the file `go` exists. A message that is sent and read before a host's stream
is open is in no backlog, so it would be missing among what was heard.

Each body is unique and identifies its message, even if no answer brought its id.
"""

from __future__ import annotations

import abc
import argparse
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.realpath("/opt/agent-bus-client/current"))

from agent_bus_client.cli.context import read_token
from agent_bus_client.errors import ClientError, HubRefusedError
from agent_bus_client.hub.transport import HubClient

NODE = Path("/etc/agent-bus/node.json")
RETRY_S = 0.5
LATER = {429, 502, 503, 504, 507}


class Notes:
    """A file that is appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(self, **line: Any) -> None:  # noqa: ANN401 - any JSON
        """Append one line."""
        os.write(self._file, json.dumps({"at": time.time(), **line}).encode() + b"\n")

    def last(self) -> dict[str, Any]:
        """Return the last line; empty without one."""
        lines = self._path.read_bytes().splitlines()
        return json.loads(lines[-1]) if lines else {}


class Sender(threading.Thread, abc.ABC):
    """Sends one message after the other to all recipients in turn; notes what was accepted."""

    kind = ""

    def __init__(self, options: argparse.Namespace, interval_s: float) -> None:
        super().__init__(name=self.kind, daemon=True)
        self._interval_s = interval_s
        self._pairs = itertools.cycle(
            (sender, recipient) for recipient in options.to for sender in options.senders
        )
        self._go = options.state / "go"
        self._notes = Notes(options.state / f"accepted-{self.kind}.jsonl")
        self._run = uuid.uuid4().hex[:8]
        self.hub = options.hub

    def run(self) -> None:
        """Send without end, once all hosts listen."""
        while not self._go.exists():
            time.sleep(0.05)
        for number in itertools.count(1):
            sender, recipient = next(self._pairs)
            body = f"{self.kind} {self._run} {number}"
            key = uuid.uuid4().hex
            began = time.time()
            tries = 1
            while (answer := self.send(sender, recipient, body, key)) is None:
                tries += 1
                time.sleep(RETRY_S)
            self._notes.add(body=body, sender=sender, to=recipient, tries=tries, **answer)
            time.sleep(max(0.0, self._interval_s - (time.time() - began)))

    @abc.abstractmethod
    def send(self, sender: str, recipient: str, body: str, key: str) -> dict[str, Any] | None:
        """Try once; return the answer, or None to try again with the same key."""


class CliSender(Sender):
    """As an agent does: by the command line."""

    kind = "cli"

    def send(self, sender: str, recipient: str, body: str, key: str) -> dict[str, Any] | None:
        """Run `agent-bus send`."""
        words = ["agent-bus", "send", "--json", "--key", key, "--as", sender, "--to", recipient]
        done = subprocess.run([*words, body], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr.strip(), flush=True)
            return None
        answer = json.loads(done.stdout)
        return {"spooled": True} if answer.get("spooled") else {"id": answer["id"]}


class HttpSender(Sender):
    """As a program does: by HTTP, with an idempotency key."""

    kind = "http"

    def send(self, sender: str, recipient: str, body: str, key: str) -> dict[str, Any] | None:
        """POST /api/send."""
        request = {"from": sender, "to": recipient, "body": body}
        headers = {"Idempotency-Key": key}
        try:
            answer = self.hub.call("POST", "/api/send", body=request, headers=headers)
        except HubRefusedError as error:
            if error.status in LATER:
                return None
            return {"refused": str(error)}
        except ClientError:
            return None
        return {"id": answer["id"]}


class Listener(threading.Thread):
    """Notes every message of a stream of this node; takes no lease."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(name="listener", daemon=True)
        self._hub = options.hub
        self._notes = Notes(options.state / "heard.jsonl")
        self._cursor = self._notes.last().get("event")

    def run(self) -> None:
        """Listen without end."""
        while True:
            try:
                self._listen()
            except ClientError as error:
                print(error, flush=True)
            time.sleep(RETRY_S)

    def _listen(self) -> None:
        stream = self._hub.open_stream({}, last_event_id=self._cursor)
        try:
            for event in stream.events():
                facts = json.loads(event.data)
                if event.type == "message":
                    self._cursor = event.event_id
                    told = {name: facts[name] for name in ("id", "seq", "to_agent", "body")}
                    self._notes.add(event=event.event_id, **told)
                elif event.type == "hello":
                    if self._cursor is None:
                        self._notes.add(event=event.event_id, listening=True)
                    self._cursor = event.event_id
                    stream.keepalive_s = float(facts["keepalive_s"])
                elif event.type == "reset":
                    self._notes.add(event=self._cursor, reset=facts["reason"])
        finally:
            stream.close()


def fill(options: argparse.Namespace) -> None:
    """Send large messages to the operator, whom nobody wakes, until the hub is full."""
    body = "x" * 50_000
    for count in itertools.count():
        sender = options.senders[count % len(options.senders)]
        request = {"from": sender, "to": "operator", "body": body}
        try:
            options.hub.call("POST", "/api/send", body=request)
        except HubRefusedError as error:
            if error.status == 429:  # noqa: PLR2004 - too fast
                time.sleep(error.retry_after_s or RETRY_S)
                continue
            print(json.dumps({"accepted": count, "status": error.status, "trouble": ""}))
            return
        except ClientError as error:
            print(json.dumps({"accepted": count, "status": None, "trouble": str(error)}))
            return


def _hub(node: dict[str, Any]) -> Any:  # noqa: ANN401 - one hub or several, with the same calls
    """Return the hub, or all of them: an older release on the node knows only one."""
    if "hub_urls" not in node:
        return HubClient(node["hub_url"], read_token, ca_file=node.get("hub_ca_file"))
    from agent_bus_client import settings
    from agent_bus_client.hub.hubs import Hubs

    return Hubs.of(settings.load(NODE), read_token)


def main() -> None:
    """Send and listen, or fill the hub's disk."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("verb", choices=("run", "fill"))
    parser.add_argument("--state", type=Path, default=Path())
    parser.add_argument("--senders", nargs="+", required=True)
    parser.add_argument("--to", nargs="+", default=[])
    parser.add_argument("--cli-interval", type=float, default=1.0)
    parser.add_argument("--http-interval", type=float, default=0.5)
    options = parser.parse_args()
    node = json.loads(NODE.read_text())
    options.hub = _hub(node)
    if options.verb == "fill":
        fill(options)
        return
    threads = [
        CliSender(options, options.cli_interval),
        HttpSender(options, options.http_interval),
        Listener(options),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
