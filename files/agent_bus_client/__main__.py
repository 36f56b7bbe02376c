"""Entry points: `python3 -m agent_bus_client VERB`, the launcher and the watcher's program file.

`check-config FILE` is for Ansible's `validate:`; `watch FILE` runs the watcher; `turns FILE AGENT`
is started by an agent's socket; `mcp` runs the MCP server; everything else is the command line.
"""

from __future__ import annotations

import os
import sys

from agent_bus_client.errors import EXIT_USAGE, SettingsError

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Callable


def watch(config_path: str) -> int:
    """Run the watcher and return its exit code."""
    from agent_bus_client import watcher

    return watcher.main(config_path)


def take_turns(config_path: str, agent: str) -> int:
    """Run the turn service of one agent and return its exit code."""
    from agent_bus_client import turns

    state_dir = os.environ.get("STATE_DIRECTORY", ".")
    idle_s = float(os.environ.get("AGENT_BUS_IDLE_S", "60"))
    return turns.main(config_path, agent, state_dir=state_dir, idle_s=idle_s)


def command(arguments: list[str]) -> int:
    """Run the command line and end the process; return only if its output cannot be written.

    To take the interpreter apart would cost a tenth of the whole call, and nothing is left to do.
    """
    from agent_bus_client import cli

    if None in (sys.stdin, sys.stdout, sys.stderr):
        stand_in_for_closed()
    status = cli.main(arguments)
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except OSError:
        return status  # at its end, the interpreter says why
    os._exit(status)


def stand_in_for_closed() -> None:
    """Open the null device for each standard stream that was closed by whoever started this.

    Otherwise the first socket would get the number of one, and answers would go there.
    """
    while os.open(os.devnull, os.O_RDWR) < 2:  # noqa: PLR2004 - the number of stderr
        pass
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - until the end of the process
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115 - as above
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115 - as above


def mcp(arguments: list[str]) -> int:
    """Run the MCP server and return its exit code."""
    from agent_bus_client import mcp

    return mcp.main(arguments)


def check_config(config_path: str) -> int:
    """Say on stderr what is wrong with a settings file; 0 when nothing is."""
    from agent_bus_client import settings

    try:
        settings.load(config_path)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def main(arguments: list[str]) -> int:
    """Run what the first argument names."""
    verbs: dict[str, tuple[Callable[..., int], str]] = {
        "check-config": (check_config, "FILE"),
        "watch": (watch, "FILE"),
        "turns": (take_turns, "FILE AGENT"),
    }
    verb = "".join(arguments[:1])
    if verb == "mcp":
        return mcp(arguments[1:])
    if verb not in verbs or arguments[1:] == ["--help"]:
        return command(arguments)
    run, wanted = verbs[verb]
    if len(arguments[1:]) != len(wanted.split()):
        print(f"usage: agent_bus_client {verb} {wanted}", file=sys.stderr)
        return EXIT_USAGE
    return run(*arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
