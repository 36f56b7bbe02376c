"""The command line `agent-bus`, for the exec tools of agents and for people."""

from __future__ import annotations

import json
import os
import sys

from agent_bus_client.api import Problem
from agent_bus_client.cli import parser
from agent_bus_client.cli.context import ANSWER_S, Context
from agent_bus_client.errors import (
    EXIT_USAGE,
    ClientError,
    HubRefusedError,
    HubUnreachableError,
    OutboxWaitsError,
)
from agent_bus_mcp.words import text

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    import argparse

NEXT: dict[str, str] = {
    Problem.UNKNOWN_AGENT: "agent-bus agents",
    Problem.NOT_ALLOWED: "agent-bus agents, which lists whom you may write to",
    Problem.UNKNOWN_MESSAGE: "agent-bus inbox, or agent-bus history",
    Problem.INVALID_CURSOR: "the same command without --cursor",
    HubUnreachableError.code: "agent-bus doctor",
    OutboxWaitsError.code: "agent-bus doctor",
}
"""What to look at next, in the words of this program, not those of the API."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code; answers go to stdout, trouble to stderr."""
    if not arguments:
        parser.build().print_help(sys.stderr)
        return EXIT_USAGE
    options = parser.parse(arguments)
    try:
        context = Context(options, answer_s=_answer_s(options))
        status: int = options.run(context)
        context.tell_failures()
        sys.stdout.flush()
    except ClientError as error:
        _complain(error, as_json=options.json)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # so that the exit is quiet, too
        return 0
    except KeyboardInterrupt:
        return 130
    return status


def _answer_s(options: argparse.Namespace) -> float | None:
    """Return how long the call may take; None: as long as it likes."""
    limit_s: float | None = getattr(options, "answer_s", ANSWER_S)
    return limit_s and max(limit_s, (getattr(options, "wait", None) or 0.0) + 1.0)


def _complain(error: ClientError, *, as_json: bool) -> None:
    """Say what went wrong; with --json, also as an object on stdout."""
    code = error.problem if isinstance(error, HubRefusedError) else error.code
    if as_json:
        fields = error.fields if isinstance(error, HubRefusedError) else {}
        print(json.dumps({"error": {**fields, "code": code, "detail": str(error)}}))
    print(f"agent-bus: {text.escape(str(error))}", file=sys.stderr)
    if code in NEXT:
        print(f"look: {NEXT[code]}", file=sys.stderr)
