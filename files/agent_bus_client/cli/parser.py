"""The grammar of the command line; docs/reference/cli.md is generated from it."""

from __future__ import annotations

import argparse
from typing import Callable

from agent_bus_client import release
from agent_bus_client.cli import inbox, look, send, tail
from agent_bus_client.cli.context import Context
from agent_bus_mcp.words.terms import Priority

Verb = Callable[[Context], int]

EXIT_CODES = """exit codes:
  0   done (a send that went into the outbox counts as done and says so)
  1   failed: the hub refused it, or doctor found something
  2   usage
  69  the hub or its answer is unavailable
  75  try later (throttled, full, failing, restarting)
  77  the token is not accepted, or not for this agent
  78  settings unusable
"""
DESCRIPTION = """Messages between agents: send them, read yours, say what you have processed.

Who is asking: --as, else AGENT_BUS_AGENT, else the workspace folder (workspace-NAME), else the
node's only agent. AGENT_BUS_CONFIG and AGENT_BUS_TOKEN_FILE name other files than
/etc/agent-bus/node.json and /etc/agent-bus/cli/USER.token.
"""
PRIORITIES = [priority.value for priority in Priority]


def build() -> argparse.ArgumentParser:
    """Return the parser; the chosen verb is in `verb`."""
    parser = argparse.ArgumentParser(
        prog="agent-bus",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"agent-bus {release.current()}"
    parser.add_argument("--version", action="version", version=version)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _mail(verbs)
    _reading(verbs)
    _looking(verbs)
    return parser


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of a command line; they may stand anywhere before a `--`.

    Raises:
        SystemExit: 2, with words on stderr; 0 after `--help` or `--version`.
    """
    commands = build()
    kind = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public way
    (verbs,) = (a for a in commands._actions if isinstance(a, kind))  # noqa: SLF001 - as above
    if arguments and arguments[0] in verbs.choices:
        verb = verbs.choices[arguments[0]]
        arguments = [arguments[0], *_options_first(verb, arguments[1:])]
    return commands.parse_args(arguments)


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


def _mail(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "send", send.send, "send a message: agent-bus send TO BODY")
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

    verb = _verb(verbs, "reply", send.reply, "answer a message's sender in its thread")
    verb.add_argument("id", metavar="ID", help="the message to answer")
    verb.add_argument("body", nargs="?", metavar="BODY", help="- or none reads standard input")
    verb.add_argument("--ack", action="store_true", help="also ack the answered message")
    _outgoing(verb)

    verb = _verb(verbs, "ask", send.ask, "send, wait for the reply and ack it")
    verb.add_argument("recipient", metavar="TO", help="a name; several: the first reply counts")
    verb.add_argument("body", nargs="?", metavar="BODY", help="- or none reads standard input")
    verb.add_argument(
        "--wait", type=float, default=8.0, metavar="S", help="seconds to wait (default 8)"
    )
    _outgoing(verb)


def _reading(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "inbox", inbox.inbox, "show unread messages, urgent first")
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

    verb = _verb(verbs, "ack", inbox.ack, "mark messages as processed")
    verb.add_argument("ids", nargs="*", metavar="ID", help="message ids")
    verb.add_argument("--up-to", metavar="ID", help="all that were shown to you up to this one")

    verb = _verb(verbs, "show", look.show, "show one message, long bodies in parts")
    verb.add_argument("id", metavar="ID", help="the message, sent or received by this node")
    verb.add_argument("--part", type=int, default=1, metavar="N", help="8 kB each (default 1)")

    verb = _verb(verbs, "thread", look.thread, "show a whole thread")
    verb.add_argument("id", metavar="ID", help="any message of the thread")
    verb.add_argument("--limit", type=int, default=30, metavar="N", help="default 30")
    verb.add_argument("--cursor", help="the next page, as the page before printed it")

    verb = _verb(verbs, "history", look.history, "list past messages, both directions")
    verb.add_argument("--with", dest="with_agent", metavar="AGENT", help="only with this agent")
    verb.add_argument("--thread", metavar="ID", help="only this thread")
    verb.add_argument("--since", metavar="TIME", help="e.g. 2026-11-20T00:00:00Z")
    verb.add_argument("--until", metavar="TIME", help="as --since")
    verb.add_argument("--archived", action="store_true", help="include the archive")
    verb.add_argument("--limit", type=int, default=50, metavar="N", help="default 50")
    verb.add_argument("--cursor", help="the next page, as the page before printed it")


def _looking(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "status", look.status, "show each hop of a message and what failed")
    verb.add_argument("id", metavar="ID", help="the message, sent or received by this node")
    _verb(verbs, "agents", look.agents, "list agents and groups with their state")
    _verb(verbs, "hubs", look.hubs, "list the hubs, and whether each can take messages")
    _verb(verbs, "stats", look.stats, "show the hub's figures")
    verb = _verb(verbs, "tail", tail.tail, "print messages as they come, until interrupted")
    verb.set_defaults(answer_s=None)
    _verb(verbs, "doctor", _doctor, "check this node's chain and say what to do")
    _mcp(verbs)
    verb = verbs.add_parser("check-config", help="check a node.json (for Ansible's validate)")
    verb.add_argument("file", metavar="FILE", help="the settings to check")


def _mcp(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "serve MCP on stdin and stdout, for an agent's client"
    verb = verbs.add_parser(
        "mcp",
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
    )
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


def _doctor(context: Context) -> int:
    from agent_bus_client.cli import doctor  # 10 ms, which only this verb pays for

    return doctor.doctor(context)


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Verb, words: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
    parser.add_argument("--as", dest="agent", metavar="AGENT", help="who is asking")
    parser.add_argument("--json", action="store_true", help="the hub's answer as JSON")
    parser.set_defaults(run=run)
    return parser


def _outgoing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subject", help="one line")
    parser.add_argument("--priority", choices=PRIORITIES, help="default normal")
    parser.add_argument("--data", metavar="JSON", help="an object for programs")
    parser.add_argument("--expires", type=int, metavar="S", help="not shown after so many seconds")
    parser.add_argument("--key", help="idempotency key: the same key sends once in 24 h")
    parser.add_argument("--no-spool", action="store_true", help="fail instead of using the outbox")
