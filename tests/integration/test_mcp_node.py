"""`agent-bus mcp` where settings, token and hub change, or are not what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.mcp import McpProcess
from tests.support.ports import free_port

if TYPE_CHECKING:
    from tests.support.node_side import HubWithNodes, Node

BARE = "import sys, json, os; sys.stdin.readline(); print('{}', flush=True); sys.stdin.readline()"
SERVERS = 40
"""Enough to see what one costs: they share nothing but the interpreter's own pages."""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "This node has several: alpha, beta. Start this server with --as"),
        (("--as", "nobody"), "nobody is not an agent of this node; its agents: alpha, beta"),
    ],
)
def test_who_speaks_is_said_by_nobody_else(
    node: Node, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Neither the environment nor the folder: a client hands on whatever it was started with."""
    workspace = tmp_path / ".openclaw" / "workspace-alpha"
    workspace.mkdir(parents=True)
    given = {"AGENT_BUS_AGENT": "alpha", "OPENCLAW_PROFILE": "alpha", "USER": "alpha"}
    server = McpProcess.of(node, *arguments, env=given, cwd=workspace)
    told = server.request("server/discover")["result"]["instructions"]
    assert words in told
    assert words in server.call("inbox", is_error=True)
    assert server.end() == ""


def test_a_client_may_give_nearly_no_environment(gamma: Node) -> None:
    server = McpProcess.of(gamma, env={"HOME": "/", "PATH": "/usr/bin"}, alone=True)
    assert "you are gamma" in server.call("status")
    assert server.end() == ""


def test_files_are_named_by_the_environment_only_where_no_option_does(
    node: Node, gamma: Node
) -> None:
    server = McpProcess([], env=gamma.env())
    assert "you are gamma" in server.call("status")
    server.end()
    server = McpProcess.of(node, "--as", "beta", env=gamma.env())
    assert "you are beta" in server.call("status")
    server.end()


def test_a_token_that_is_missing_wrong_or_rotated_is_said_and_read_again(gamma: Node) -> None:
    token = gamma.folder / "secrets" / "node-token"
    right = token.read_text(encoding="ascii")
    server = McpProcess.of(gamma)
    token.unlink()
    assert "No such file" in server.call("inbox", is_error=True)
    token.write_text("w" * 43, encoding="ascii")
    assert "(unauthenticated)" in server.call("inbox", is_error=True)
    token.write_text(right, encoding="ascii")
    assert server.call("inbox") == "no messages for gamma"
    assert server.end() == ""


def test_settings_that_a_rollout_writes_anew_count_from_the_next_call(
    hub: HubWithNodes, gamma: Node
) -> None:
    right = dict(gamma.settings)
    gamma.settings["hub_url"] = f"http://127.0.0.1:{free_port()}"
    gamma.write()
    server = McpProcess.of(gamma)
    assert "does not answer" in server.call("inbox", is_error=True)
    gamma.config.write_text("{", encoding="utf-8")
    assert "not JSON" in server.call("inbox", is_error=True)
    gamma.config.unlink()
    assert "No such file" in server.call("inbox", is_error=True)
    gamma.settings = {**right, "hub_urls": [f"http://127.0.0.1:{free_port()}", hub.url]}
    del gamma.settings["hub_url"]
    gamma.write()
    assert server.call("inbox") == "no messages for gamma"
    assert server.end() == ""


def test_mail_that_the_outbox_gave_up_is_told_once(hub: HubWithNodes, node: Node) -> None:
    alpha, beta = McpProcess.of(node, "--as", "alpha"), McpProcess.of(node, "--as", "beta")
    (node.folder / "outbox" / "0-no-json.json").write_text("{", encoding="utf-8")
    hub.process.kill()
    unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    words = alpha.call("reply", id=unknown, body="lost", ack=True)
    assert "Kept in the outbox" in words
    assert words.endswith(f"not acked; later: tool ack with ids {unknown}")
    hub.start()
    told = alpha.call("send", to="beta", body="x")
    assert told.startswith("warning: a message that you sent while the hub was away was not")
    assert "warning" not in alpha.call("inbox")
    assert "warning" not in beta.call("inbox")
    assert (alpha.end(), beta.end()) == ("", "")


def test_the_same_message_under_the_same_key_is_sent_once(hub: HubWithNodes, node: Node) -> None:
    alpha = McpProcess.of(node, "--as", "alpha")
    first = alpha.call("send", to="beta", body="x", key="the-key")
    assert first == alpha.call("send", to="beta", body="x", key="the-key")
    assert hub.agent("beta")["unread"] == 1
    assert alpha.end() == ""


def memory_kib(process: McpProcess) -> int:
    """What a process has for itself, and its share of what several map."""
    rollup = Path(f"/proc/{process.process.pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def test_an_idle_server_is_hardly_larger_than_its_interpreter(node: Node) -> None:
    """A node may have hundreds. What a call needs would more than double it."""
    servers = [McpProcess.of(node, "--as", "alpha") for _ in range(SERVERS)]
    bare = [McpProcess(code=BARE) for _ in range(SERVERS)]
    for one in servers:
        one.request("initialize", {}, modern=False)
        one.request("tools/list", modern=False)
    for one in bare:
        one.write({})
        one.next()
    whole, least = sum(map(memory_kib, servers)), sum(map(memory_kib, bare))
    for one in (*servers, *bare):
        one.end()
    assert whole < 2.5 * least, (whole / SERVERS, least / SERVERS)


def test_help_and_mistakes_are_those_of_the_command_line(node: Node) -> None:
    said = node.cli("mcp", "--help")
    assert (said.returncode, said.stderr) == (0, "")
    assert "--token-file FILE" in said.stdout
    assert node.cli("mcp", "--nonsense").returncode == 2
    assert node.cli("mcp", "--as").returncode == 2
