from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import agent_bus_client
import agent_bus_mcp

PACKAGE = Path(agent_bus_client.__file__).parent
SHARED = Path(agent_bus_mcp.__file__).parent
MODULES = sorted([*PACKAGE.rglob("*.py"), *SHARED.rglob("*.py")])
ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import agent_bus_client, agent_bus_mcp
for package in (agent_bus_client, agent_bus_mcp):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name != "agent_bus_client.__main__":
            importlib.import_module(module.name)
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(sorted(foreign - {"agent_bus_client", "agent_bus_mcp", "__main__"}))
"""


def test_everything_runs_without_site_packages() -> None:
    argv = [sys.executable, "-I", "-S", "-c", ALL, str(PACKAGE.parent)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_every_module_is_python_3_9_and_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 9))
    assert source.count("\n") <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_an_idle_mcp_server_loads_next_to_nothing() -> None:
    """One is started for each client on a node, and many are never used."""
    code = (
        "import io, os, sys; sys.path.insert(0, sys.argv[1]); from agent_bus_client import mcp;"
        "mcp.main(['--as', 'alpha']);"
        "heavy = {'typing', 'pathlib', 'dataclasses', 'socket', 'threading', 'argparse', 'ssl',"
        " 'logging', 'tempfile', 'hashlib', 'agent_bus_client.settings',"
        " 'agent_bus_client.net.http1', 'agent_bus_mcp.words.text', 'agent_bus_mcp.tools'};"
        "os.write(2, repr(sorted(heavy & set(sys.modules))).encode())"
    )
    argv = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE.parent)]
    lines = [{"id": 0, "method": "initialize"}, {"id": 1, "method": "tools/list"}]
    sent = "".join(json.dumps({"jsonrpc": "2.0", **line}) + "\n" for line in lines)
    done = subprocess.run(argv, capture_output=True, text=True, check=True, input=sent)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [0, 1]
    assert done.stderr == "[]"


@pytest.mark.parametrize(
    ("program", "without"),
    [
        ("watcher", {"net.tls", "outbox.delivery"}),
        ("mcp.bus", {"net.tls", "hub.choice", "hub.cursor", "hub.sse", "hub.stream"}),
    ],
)
def test_what_lives_long_loads_at_once_what_only_failures_need(
    program: str, without: set[str]
) -> None:
    """A rollout may remove the folder of its release before something fails."""
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]);"
        "importlib.import_module(sys.argv[2]); print(*sys.modules)"
    )
    argv = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE.parent)]
    argv.append(f"agent_bus_client.{program}")
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("agent_bus_client.") for name in done.stdout.split()}
    files = [path for room in ("hub", "net", "outbox") for path in (PACKAGE / room).glob("*.py")]
    needed = {f"{path.parent.name}.{path.stem}" for path in files if path.stem != "__init__"}
    assert needed - loaded == without


def test_the_watcher_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import agent_bus_client.watcher;"
        "print(sorted({'ssl', 'http.client', 'email', 'argparse', 'urllib.request', 'asyncio',"
        " 'subprocess', 'tempfile', 'hashlib', 'dataclasses', 'inspect', 'typing', 'pathlib',"
        " 'urllib.parse', 'socket'} & set(sys.modules)))"
    )
    argv = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE.parent)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
