"""The node side on the oldest Python that a node may have; the other tests here run on it, too."""

from __future__ import annotations

import subprocess

from tests.support.node_side import FILES, NODE_PYTHON

LOAD_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import agent_bus_client, agent_bus_mcp
for package in (agent_bus_client, agent_bus_mcp):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
ours = ("agent_bus_client", "agent_bus_mcp")
print(len([name for name in sys.modules if name.partition(".")[0] in ours]))
"""


def test_every_module_loads_without_a_warning() -> None:
    argv = [NODE_PYTHON, "-I", "-S", "-W", "error", "-c", LOAD_ALL, str(FILES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = [
        *(FILES / "agent_bus_client").rglob("*.py"),
        *(FILES / "agent_bus_mcp").rglob("*.py"),
    ]
    assert int(done.stdout) == len(modules)
