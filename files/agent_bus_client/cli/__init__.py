"""The command line `agent-bus`, for an agent's exec tool and for people."""

from __future__ import annotations

import json
import logging
import os
import sys

from agent_bus_client.cli import parser, text
from agent_bus_client.cli.context import ANSWER_S, Context
from agent_bus_client.errors import ClientError, HubRefusedError


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code; stdout has the answer, stderr the words."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    options = parser.build().parse_args(arguments)
    try:
        context = Context(options, answer_s=getattr(options, "answer_s", ANSWER_S))
        status: int = options.run(context)
        context.tell_failures()
        sys.stdout.flush()
    except ClientError as error:
        _complain(error, as_json=options.json)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # quiet the exit, too
        return 0
    except KeyboardInterrupt:
        return 130
    return status


def _complain(error: ClientError, *, as_json: bool) -> None:
    """Say what went wrong; with --json also as an object on stdout."""
    if as_json:
        fields = error.fields if isinstance(error, HubRefusedError) else {}
        code = error.problem if isinstance(error, HubRefusedError) else error.code
        print(json.dumps({"error": {**fields, "code": code, "detail": str(error)}}))
    print(f"agent-bus: {text.escape(str(error))}", file=sys.stderr)
