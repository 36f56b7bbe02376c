from __future__ import annotations

import ast
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


def test_the_watcher_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import agent_bus_client.watcher;"
        "print(sorted({'ssl', 'http.client', 'email', 'argparse', 'urllib.request', 'asyncio',"
        " 'subprocess', 'tempfile', 'hashlib'} & set(sys.modules)))"
    )
    argv = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE.parent)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
