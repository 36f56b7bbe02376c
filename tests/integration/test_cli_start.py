"""What a call of the command line loads and does: most of what it costs is its start.

The number of function calls stands for the CPU time, which no test can measure on a busy machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cli import sent_id, told
from tests.support.node_side import FILES, NODE_PYTHON

if TYPE_CHECKING:
    from tests.support.node_side import Node

MOST_CALLS = 30_000  # 24,000 on 2026-11-29, 85,000 before
CODE = f"""
import os, sys
bare = set(sys.modules)
calls = 0
def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")
sys.path.insert(0, {str(FILES)!r})
sys.setprofile(count)
from agent_bus_client import cli
status = cli.main(sys.argv[1:])
sys.setprofile(None)
os.write(2, repr([calls, sorted(set(sys.modules) - bare)]).replace("'", '"').encode())
sys.exit(status)
"""
PYTHONS = {NODE_PYTHON, sys.executable, "/usr/bin/python3"}
LIBRARY = {
    *("__future__", "os", "os.path", "stat", "_stat", "posixpath", "genericpath"),
    *("_collections_abc", "argparse", "gettext", "warnings", "json", "json.decoder"),
    *("json.encoder", "json.scanner", "_json", "_socket", "_thread", "select", "errno", "pwd"),
    *("re", "re._casefix", "re._compiler", "re._constants", "re._parser", "_sre"),
    *("sre_compile", "sre_constants", "sre_parse", "copyreg"),
    *("enum", "types", "operator", "_operator", "functools", "_functools", "itertools"),
    *("collections", "_collections", "keyword", "reprlib", "heapq", "_heapq"),
    *("_locale", "_bootlocale"),  # as Python 3.9 does
}
"""What argparse, json and `_socket` load, and nothing else: see decision 60."""
OURS = ("agent_bus_client", "agent_bus_mcp")
NOT_OURS = {
    *("hub.hubs", "hub.stream", "hub.trouble", "net.backoff", "net.lookup", "net.tls"),
    *("outbox.draining", "outbox.clock", "cli.doctor", "cli.look", "cli.tail", "mcp", "watcher"),
}
"""What only several hubs, streams, failures, names, TLS, waiting mail or other verbs need."""


def started(python: str, node: Node, *arguments: str) -> tuple[int, set[str]]:
    """Run a command; return how many function calls it took, and what it loaded."""
    done = subprocess.run(
        [python, "-I", "-S", "-c", CODE, *arguments],
        env={**os.environ, **node.env()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stderr)
    return found[0], set(found[1])


@pytest.mark.parametrize("python", sorted(python for python in PYTHONS if Path(python).exists()))
def test_send_and_inbox_load_and_do_no_more_than_they_need(python: str, node: Node) -> None:
    commands = (["send", "--as", "alpha", "beta", "two\nlines"], ["inbox", "--as", "beta"])
    for command in commands:
        calls, loaded = started(python, node, *command)
        assert {name for name in loaded if not name.startswith(OURS)} - LIBRARY == set()
        assert loaded & {f"agent_bus_client.{name}" for name in NOT_OURS} == set()
        assert calls <= MOST_CALLS, command


@pytest.mark.parametrize("verb", ["reply", "ack", "agents", "status"])
def test_other_verbs_load_no_other_library(verb: str, node: Node) -> None:
    sent = sent_id(told(node, "send", "--as", "alpha", "beta", "hello"))
    arguments = {"reply": [sent, "well"], "ack": [sent], "agents": [], "status": [sent]}
    _, loaded = started(NODE_PYTHON, node, verb, "--as", "beta", *arguments[verb])
    assert {name for name in loaded if not name.startswith(OURS)} - LIBRARY == set()
