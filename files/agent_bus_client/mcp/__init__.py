"""`agent-bus mcp`: an MCP server over stdio, one process per client.

Nothing is read from the hub before the first call of a tool: clients start servers that they never
use, some of them twice. So that an idle server is small and quick to start, what only a call needs
is loaded at the first call.
"""

from __future__ import annotations

import os
import signal


def main(arguments: list[str]) -> int:
    """Serve stdin and stdout until the client ends its side."""
    from agent_bus_client.mcp.options import parse

    options = parse(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a terminal's Ctrl-C: no traceback
    from agent_bus_client.mcp.stdio import Stdio

    server = Stdio.of(options, in_fd=0, out_fd=1)
    server.serve()
    if server.is_waiting:
        os._exit(0)  # a thread may still wait for the hub, and nothing is left to be done
    return 0
