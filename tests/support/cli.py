"""Runs of the command line, and what their output says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.node_side import Node


def told(node: Node, *arguments: str, code: int = 0, **more: Any) -> str:
    """Run the command and return its output."""
    done = node.cli(*arguments, **more)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def sent_id(output: str) -> str:
    found = re.match(r"sent ([0-9A-Z]{26}) ", output)
    assert found
    return found[1]
