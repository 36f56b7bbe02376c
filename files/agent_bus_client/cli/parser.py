"""The grammar of the command line; docs/reference/cli.md is generated from it.

A command line is parsed by its verb's grammar alone: that of all verbs takes seven times as long,
and is made only for help and for mistakes that the verb's does not know.
"""

from __future__ import annotations

import argparse

from agent_bus_client import release
from agent_bus_mcp.words.terms import Priority

TYPE_CHECKING = False  # without `typing`: see docs/decisions/0060-the-start-of-the-command-line.md
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from agent_bus_client.cli.context import Context

EXIT_CODES = """exit codes:
  0   done (a send that went into the outbox counts as done and says so)
  1   failed: the hub refused it, or doctor found something
  2   usage
  69  the hub or its answer is unavailable
  75  try later (throttled, full, failing, restarting)
  77  the token is not accepted, or not for this agent, or you may not write to the recipient
  78  settings unusable
"""
DESCRIPTION = """Messages between agents: send them, read yours, say what you have processed.

Who is asking: --as, else AGENT_BUS_AGENT, else the workspace folder (workspace-NAME), else the
node's only agent. AGENT_BUS_CONFIG and AGENT_BUS_TOKEN_FILE name other files than
/etc/agent-bus/node.json and the token: /etc/agent-bus/tokens/AGENT of an agent with its own, else
/etc/agent-bus/cli/USER.token.
"""
PROGRAM = "agent-bus"
PRIORITIES = [priority.value for priority in Priority]


class Verb:
    """One verb.

    Args:
        words: what it does, in the list of verbs.
        fill: adds its own arguments.
        run: runs it; None for what is no question to a hub.
        is_described: its own help repeats the words.
    """

    def __init__(
        self,
        words: str,
        fill: Callable[[argparse.ArgumentParser], None],
        run: Callable[[Context], int] | None,
        *,
        is_described: bool = True,
    ) -> None:
        self.words = words
        self.description = f"{words[0].upper()}{words[1:]}." if is_described else None
        self._fill = fill
        self._run = run

    def fill(self, parser: argparse.ArgumentParser, name: str) -> None:
        """Add all arguments."""
        if self._run is not None:
            parser.add_argument("--as", dest="agent", metavar="AGENT", help="who is asking")
            parser.add_argument("--json", action="store_true", help="the hub's answer as JSON")
            parser.set_defaults(verb=name, run=self._run)
        self._fill(parser)


def build() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"{PROGRAM} {release.current()}"
    parser.add_argument("--version", action="version", version=version)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, verb in VERBS.items():
        verb.fill(verbs.add_parser(name, help=verb.words, description=verb.description), name)
    return parser


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of a command line; they may stand anywhere before a `--`.

    Raises:
        SystemExit: 2, with words on stderr; 0 after `--help` or `--version`.
    """
    name = "".join(arguments[:1])
    if name not in VERBS:
        return build().parse_args(arguments)
    alone = _alone(name)
    rest = _options_first(alone, arguments[1:])
    options, unknown = alone.parse_known_args(rest)
    return build().parse_args([name, *rest]) if unknown else options


def _alone(name: str) -> argparse.ArgumentParser:
    """Return the parser of one verb, as it is among those of all verbs."""
    verb = VERBS[name]
    # argparse looks for translations of its words, which loads `locale`; there are none
    argparse._ = str  # type: ignore[attr-defined]
    # argparse formats each argument to check it, which asks for the terminal's width each time
    checking = argparse.HelpFormatter(PROGRAM, width=80)
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=verb.description,
        formatter_class=lambda **_: checking,
    )
    verb.fill(parser, name)
    parser.formatter_class = argparse.HelpFormatter
    return parser


def _options_first(verb: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """Return the arguments with all options before the words.

    argparse fills all positionals at the first word, so words after a later option would be left
    over; its own intermixed parsing does not work with subcommands.
    """
    known = verb._option_string_actions  # noqa: SLF001 - argparse has no public way

    def is_option(argument: str) -> bool:
        if not argument.startswith("-") or argument == "-":
            return False
        name = argument.partition("=")[0]
        return name in known or not (" " in argument or argument[1:].replace(".", "").isdigit())

    options: list[str] = []
    words: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            words += rest
            break
        if not is_option(argument):
            words.append(argument)
            continue
        options.append(argument)
        found = {known[name] for name in known if name.startswith(argument)}
        action = known.get(argument) or (found.pop() if len(found) == 1 else None)
        if action is not None and action.nargs != 0:
            if not rest or is_option(rest[0]):
                return arguments  # unchanged: argparse says that the value is missing
            options.append(rest.pop(0))
    dashed = any(word.startswith("-") and word != "-" for word in words)
    return [*options, *(["--"] if dashed else []), *words]


def _send(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--to", action="append", metavar="TO", help="recipient; may be repeated")
    verb.add_argument(
        "words",
        nargs="*",
        metavar="TO BODY",
        help="recipient (a name, names with commas, @group, or all) and body; only the body"
        " with --to; body - or none reads standard input",
    )
    verb.add_argument("--reply-to", metavar="ID", help="the message that this one answers")
    _outgoing(verb)


def _reply(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("id", metavar="ID", help="the message to answer")
    verb.add_argument("body", nargs="?", metavar="BODY", help="- or none reads standard input")
    verb.add_argument("--ack", action="store_true", help="also ack the answered message")
    _outgoing(verb)


def _ask(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("recipient", metavar="TO", help="a name; several: the first reply counts")
    verb.add_argument("body", nargs="?", metavar="BODY", help="- or none reads standard input")
    verb.add_argument(
        "--choices", metavar="A,B", help="2 to 10 answers to choose from; the first answer counts"
    )
    verb.add_argument(
        "--wait",
        type=float,
        default=8.0,
        metavar="S",
        help="seconds to wait (default 8; 0: not at all, the answer wakes you)",
    )
    _outgoing(verb)


def _answer(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("id", metavar="ID", help="the question")
    verb.add_argument("choice", metavar="CHOICE", help="one of its choices")
    verb.add_argument("body", nargs="?", metavar="TEXT", help="more to say about it")
    verb.add_argument("--ack", action="store_true", help="also ack the question")
    _outgoing(verb)


def _outgoing(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--subject", help="one line")
    verb.add_argument("--priority", choices=PRIORITIES, help="default normal")
    verb.add_argument("--data", metavar="JSON", help="an object for programs")
    verb.add_argument("--expires", type=int, metavar="S", help="not shown after so many seconds")
    verb.add_argument(
        "--escalate-to",
        metavar="WHO",
        help="an agent or @group, told if it stays unread; it is urgent then",
    )
    verb.add_argument("--after", type=int, metavar="MIN", help="... for so long (default 10)")
    verb.add_argument("--key", help="idempotency key: the same key sends once in 24 h")
    verb.add_argument("--no-spool", action="store_true", help="fail instead of using the outbox")


def _inbox(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--all", action="store_true", help="with bodies that another turn was just shown"
    )
    verb.add_argument("--read", action="store_true", help="include messages already acked")
    verb.add_argument("--ack", action="store_true", help="ack what the page shows, at once")
    verb.add_argument("--peek", action="store_true", help="look without counting as fetched")
    verb.add_argument("--priority", choices=PRIORITIES, help="only this priority")
    verb.add_argument("--thread", metavar="ID", help="only this thread")
    verb.add_argument("--wait", type=float, metavar="S", help="wait for mail, at most 7 seconds")
    verb.add_argument(
        "--limit",
        type=int,
        default=20,
        metavar="N",
        help="messages (default 20; at most 25 without --json)",
    )
    verb.add_argument("--cursor", help="the next page, as the page before printed it")


def _ack(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ids", nargs="*", metavar="ID", help="message ids")
    verb.add_argument("--up-to", metavar="ID", help="all that were shown to you up to this one")


def _show(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("id", metavar="ID", help="the message, sent or received by this node")
    verb.add_argument("--part", type=int, default=1, metavar="N", help="8 kB each (default 1)")


def _thread(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("id", metavar="ID", help="any message of the thread")
    verb.add_argument("--limit", type=int, default=30, metavar="N", help="default 30")
    verb.add_argument("--cursor", help="the next page, as the page before printed it")


def _history(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--with", dest="with_agent", metavar="AGENT", help="only with this agent")
    verb.add_argument("--thread", metavar="ID", help="only this thread")
    verb.add_argument("--since", metavar="TIME", help="e.g. 2026-11-20T00:00:00Z")
    verb.add_argument("--until", metavar="TIME", help="as --since")
    verb.add_argument("--archived", action="store_true", help="include the archive")
    verb.add_argument("--limit", type=int, default=50, metavar="N", help="default 50")
    verb.add_argument("--cursor", help="the next page, as the page before printed it")


def _status(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("id", metavar="ID", help="the message, sent or received by this node")


def _tail(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(answer_s=None)


def _nothing(verb: argparse.ArgumentParser) -> None:
    """Add nothing."""


def _mcp(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--as",
        dest="agent",
        metavar="AGENT",
        help="who speaks, unless the node has one agent only",
    )
    verb.add_argument(
        "--config", metavar="FILE", help="node.json; without it as for the other commands"
    )
    verb.add_argument(
        "--token-file", metavar="FILE", help="the token; without it as for the other commands"
    )


def _check_config(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", metavar="FILE", help="the settings to check")


def _sending(context: Context) -> int:
    from agent_bus_client.cli import send

    return _run(send, context)


def _reading(context: Context) -> int:
    from agent_bus_client.cli import inbox

    return _run(inbox, context)


def _looking(context: Context) -> int:
    from agent_bus_client.cli import look

    return _run(look, context)


def _tailing(context: Context) -> int:
    from agent_bus_client.cli import tail

    return _run(tail, context)


def _checking(context: Context) -> int:
    from agent_bus_client.cli import doctor

    return _run(doctor, context)


def _run(module: ModuleType, context: Context) -> int:
    """Run the function that is named as the verb; only the chosen verb's module is loaded."""
    status: int = getattr(module, context.options.verb)(context)
    return status


VERBS = {
    "send": Verb("send a message: agent-bus send TO BODY", _send, _sending),
    "reply": Verb("answer a message's sender in its thread", _reply, _sending),
    "ask": Verb("send, wait for the reply and ack it", _ask, _sending),
    "answer": Verb("answer a question with one of its choices", _answer, _sending),
    "inbox": Verb("show unread messages, urgent first", _inbox, _reading),
    "ack": Verb("mark messages as processed", _ack, _reading),
    "show": Verb("show one message, long bodies in parts", _show, _looking),
    "thread": Verb("show a whole thread", _thread, _looking),
    "history": Verb("list past messages, both directions", _history, _looking),
    "status": Verb("show each hop of a message and what failed", _status, _looking),
    "agents": Verb("list whom you may write to, and groups, with their state", _nothing, _looking),
    "hubs": Verb("list the hubs, and whether each can take messages", _nothing, _looking),
    "stats": Verb("show the hub's figures", _nothing, _looking),
    "tail": Verb("print messages as they come, until interrupted", _tail, _tailing),
    "doctor": Verb("check this node's chain and say what to do", _nothing, _checking),
    "mcp": Verb("serve MCP on stdin and stdout, for an agent's client", _mcp, None),
    "check-config": Verb(
        "check a node.json (for Ansible's validate)", _check_config, None, is_described=False
    ),
}
"""All verbs, in the order in which help lists them."""
