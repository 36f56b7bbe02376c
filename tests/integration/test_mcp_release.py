"""The MCP server as a rollout installs it: from a release's archive, by the launcher's lines."""

from __future__ import annotations

import re
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agent_bus_mcp.table import TOOLS
from library import release_archive
from tests.support.mcp import McpProcess
from tests.support.node_side import ROOT, HubWithNodes, Node

if TYPE_CHECKING:
    from pathlib import Path

BUILD = ROOT / "roles" / "bus_watcher" / "tasks" / "build.yml"


@pytest.fixture
def installed(tmp_path: Path, gamma: Node) -> tuple[str, Path]:
    """The launcher's text, and the folder of the release that it starts."""
    (task,) = yaml.safe_load(BUILD.read_text(encoding="utf-8"))
    given: dict[str, Any] = dict(task["release_archive"])
    source = {"{{ bus_watcher_source }}": str(ROOT)}

    def filled(text: str) -> str:
        for name, value in source.items():
            text = text.replace(name, value)
        return text

    built = release_archive.build(
        {
            "name": given["name"],
            "package": filled(given["package"]),
            "more_packages": [filled(one) for one in given["more_packages"]],
            "files": {},
            "requirements": None,
            "cache": str(tmp_path / "cache"),
        }
    )
    with tarfile.open(built["archive"]) as tar:
        tar.extractall(tmp_path / "opt", filter="data")
    home = tmp_path / "opt" / given["name"]
    current = home / "current"
    current.symlink_to(f"releases/{built['release']}")
    template = (ROOT / "templates" / "agent-bus.j2").read_text(encoding="utf-8")
    launcher = template.replace("{{ bus_watcher_current }}", str(current))
    launcher = launcher.replace("{{ bus_watcher_config }}", str(gamma.config))
    return re.sub(r"\{\{.*?\}\}", "", launcher), home / "releases" / built["release"]


def test_the_launcher_of_a_release_serves_mcp(
    installed: tuple[str, Path], gamma: Node, tmp_path: Path
) -> None:
    launcher, release = installed
    token = str(gamma.folder / "secrets" / "node-token")
    server = McpProcess(["mcp", "--token-file", token], code=launcher, cwd=tmp_path)
    found = server.request("server/discover")["result"]
    info = found["_meta"]["io.modelcontextprotocol/serverInfo"]
    assert info["version"] == release.name
    assert "You are the agent gamma" in found["instructions"]
    assert server.call("inbox") == "no messages for gamma"
    assert server.end() == ""


def test_a_server_that_was_called_needs_its_release_no_more(
    installed: tuple[str, Path], hub: HubWithNodes, gamma: Node, tmp_path: Path
) -> None:
    launcher, release = installed
    token = str(gamma.folder / "secrets" / "node-token")
    server = McpProcess(["mcp", "--token-file", token], code=launcher, cwd=tmp_path)
    assert server.call("inbox") == "no messages for gamma"
    shutil.rmtree(release)
    assert "unknown_agent" in server.call("send", to="nobody", body="x", is_error=True)
    hub.process.kill()
    assert "Kept in the outbox" in server.call("send", to="alpha", body="x")
    assert server.end() == ""


def test_a_server_that_outlived_its_release_says_so(
    installed: tuple[str, Path], gamma: Node, tmp_path: Path
) -> None:
    launcher, release = installed
    server = McpProcess(["mcp"], code=launcher, cwd=tmp_path)
    server.request("initialize", {}, modern=False)
    shutil.rmtree(release)
    assert len(server.request("tools/list", modern=False)["result"]["tools"]) == len(TOOLS)
    assert "start the server again" in server.call("inbox", is_error=True)
    assert "start the server again" in server.call("inbox", is_error=True, wait_s=5)
    assert server.end() == ""
