"""Entry points: `python3 -m agent_bus_client VERB`, the launcher and the watcher's program file.

`check-config FILE` is for Ansible's `validate:`; `watch FILE` runs the watcher; `mcp` runs the MCP
server; everything else is the command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent_bus_client.errors import EXIT_USAGE, SettingsError


def watch(config_path: str) -> int:
    """Run the watcher and return its exit code."""
    from agent_bus_client import watcher

    return watcher.main(config_path)


def command(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    from agent_bus_client import cli

    return cli.main(arguments)


def mcp(arguments: list[str]) -> int:
    """Run the MCP server and return its exit code."""
    from agent_bus_client import mcp

    return mcp.main(arguments)


def check_config(config_path: str) -> int:
    """Say on stderr what is wrong with a settings file; 0 when nothing is."""
    from agent_bus_client import settings

    try:
        settings.load(Path(config_path))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def main(arguments: list[str]) -> int:
    """Run what the first argument names."""
    if arguments[:1] in (["check-config"], ["watch"]) and arguments[1:] != ["--help"]:
        if len(arguments) != 2:  # noqa: PLR2004 - verb and file
            print(f"usage: agent_bus_client {arguments[0]} FILE", file=sys.stderr)
            return EXIT_USAGE
        run = check_config if arguments[0] == "check-config" else watch
        return run(arguments[1])
    if arguments[:1] == ["mcp"]:
        return mcp(arguments[1:])
    return command(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
