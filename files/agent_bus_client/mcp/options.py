"""What `agent-bus mcp` is started with.

argparse alone would cost half of the start. So it is asked only when something is not plain, such
as `--help`.
"""

from __future__ import annotations

import os

PLAIN = {"--as": "agent", "--config": "config", "--token-file": "token_file"}
DEFAULT_CONFIG = "/etc/agent-bus/node.json"


class Options:
    """The options; files that are not named are where the rollout puts them.

    Attributes:
        agent: who speaks; None for the node's only agent.
    """

    __slots__ = ("agent", "config", "token_file")

    def __init__(
        self, agent: str | None = None, config: str | None = None, token_file: str | None = None
    ) -> None:
        self.agent = agent
        self.config = config or os.environ.get("AGENT_BUS_CONFIG") or DEFAULT_CONFIG
        self.token_file = token_file or os.environ.get("AGENT_BUS_TOKEN_FILE")


def parse(arguments: list[str]) -> Options:
    """Return the options of a command line.

    The environment may say where files are, as for the other commands; it never says who speaks:
    a client hands on whatever it was started with.

    Raises:
        SystemExit: 2, with words on stderr; 0 after `--help`.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        if name not in PLAIN or not (has_value or rest):
            return _by_argparse(arguments)
        given[PLAIN[name]] = value if has_value else rest.pop(0)
    return Options(**given)


def _by_argparse(arguments: list[str]) -> Options:
    from agent_bus_client.cli import parser

    found = parser.parse(["mcp", *arguments])
    return Options(found.agent, found.config, found.token_file)
