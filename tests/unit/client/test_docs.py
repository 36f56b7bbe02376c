from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.support.node_side import FILES, ROOT

LOGGING = {("logger", level) for level in ("info", "warning", "error", "critical", "exception")}


@pytest.mark.parametrize("program", ["generate_cli.py", "generate_mcp.py"])
def test_the_generated_pages_are_up_to_date(program: str) -> None:
    argv = [sys.executable, str(ROOT / "docs" / program), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_event_that_the_watcher_logs_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "watcher.md").read_text(encoding="utf-8")
    events = {
        event
        for path in (FILES / "agent_bus_client").rglob("*.py")
        if path.parent.name != "cli"
        for event in logged(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert len(events) > 25
    assert {event for event in events if event[:30] not in page} == set()


def logged(module: ast.Module) -> set[str]:
    """Return how the messages begin that a module logs at INFO and above."""
    return {
        str(node.args[0].value).partition("%")[0].partition(":")[0].partition(";")[0].strip()
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in LOGGING
        and isinstance(node.args[0], ast.Constant)
    }
