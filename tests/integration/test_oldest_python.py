"""The node side on the oldest Python that a node may have; the other tests here run on it, too."""

from __future__ import annotations

import subprocess

from tests.support.node_side import FILES, NODE_PYTHON

LOAD_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import agent_bus_client
for module in pkgutil.walk_packages(agent_bus_client.__path__, "agent_bus_client."):
    importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("agent_bus_client.")]))
"""


def test_every_module_loads_without_a_warning() -> None:
    argv = [NODE_PYTHON, "-I", "-S", "-W", "error", "-c", LOAD_ALL, str(FILES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(list((FILES / "agent_bus_client").rglob("*.py"))) - 1
