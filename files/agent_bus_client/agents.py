"""The agents of a node, as its settings name them, and how each is woken."""

from __future__ import annotations

from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any, Optional


NAME = "[a-z0-9][a-z0-9_-]{0,62}"
LONGEST_NAME = 63
USER = "[a-z_][a-z0-9_.-]{0,31}"
RUNTIMES = ("claude-code", "codex")
"""Wakers that start a turn of a program that is not running otherwise."""
WAKERS = ("hook", "command", *RUNTIMES)
SESSIONS = ("resume", "new")
SANDBOXES = ("read-only", "workspace-write", "danger-full-access")
PERMISSION_MODES = ("dontAsk", "acceptEdits", "auto", "plan", "bypassPermissions")
BUS_TOOLS = "mcp__bus__*"
SHORTEST_TURN_S = 10.0
_OF_EVERY_AGENT = ("name", "waker", "command", "token_file")
_OF_EVERY_TURN = (
    *("user", "folder", "program", "turn_limit_s", "session", "arguments", "environment_file"),
)
_OF_RUNTIME = {
    "claude-code": ("permission_mode", "allowed_tools"),
    "codex": ("sandbox",),
}


class Turns(Record):
    """How the turns of an agent with a runtime of its own are started.

    Attributes:
        user: whose home has the runtime's login and settings.
        folder: absolute; where the turns work.
        program: a name that is looked for in the user's PATH, or an absolute path; empty for the
            runtime's own name.
        limit_s: a turn that runs longer is killed with all that it has started.
        session: `resume` one conversation over all turns, or begin a `new` one each time.
        arguments: more arguments for the program.
        environment_file: absolute; lines `NAME=value` for the program, such as an API key.
        permission_mode, allowed_tools: what Claude Code may do without asking, as nobody answers.
        sandbox: what commands that Codex runs may touch.
    """

    user: str
    folder: str
    program: str = ""
    limit_s: float = 1800.0
    session: str = "resume"
    arguments: tuple[str, ...] = ()
    environment_file: str = ""
    permission_mode: str = "dontAsk"
    allowed_tools: tuple[str, ...] = (BUS_TOOLS,)
    sandbox: str = "workspace-write"


class Agent(Record):
    """One agent of the node and how it is woken.

    `command` is an argv list, in which {agent} and {text} are replaced. `turns` is set if the
    waker is one of `RUNTIMES`, and else not. `token_file`, absolute, has the agent's own token;
    empty for an agent that the node's token speaks for.
    """

    name: str
    waker: str = "hook"
    command: tuple[str, ...] = ()
    turns: Optional[Turns] = None
    token_file: str = ""

    @property
    def uses_gateway(self) -> bool:
        """Whether it is woken through the node's OpenClaw gateway."""
        return self.waker == "hook"

    @property
    def wake_text(self) -> str:
        """The line that wakes the agent; it never changes, so that the gateway can coalesce it."""
        return f"agent-bus: unread messages for {self.name}. Run: agent-bus inbox --as {self.name}"


def parse(raw: Any, problems: list[str]) -> tuple[Agent, ...]:  # noqa: ANN401 - JSON
    """Return the agents of the settings; what is wrong with them is appended to `problems`."""
    if not isinstance(raw, list) or not raw:
        problems.append("agents: a list with at least one agent is expected")
        return ()
    agents: list[Agent] = []
    for number, entry in enumerate(raw):
        where = f"agents[{number}]"
        if not isinstance(entry, dict):
            problems.append(f'{where}: an object like {{"name": "alpha"}} is expected')
            continue
        agent = _agent(where, entry, problems)
        if agent.name in [other.name for other in agents]:
            problems.append(f"{where}.name: {agent.name} is listed twice")
        agents.append(agent)
    return tuple(agents)


def is_name(text: str) -> bool:
    """Tell whether an agent may have this name: whether it matches `NAME`.

    Its pattern would be compiled at each start of the command line.
    """
    if not 0 < len(text) <= LONGEST_NAME or text[0] in "_-":
        return False
    plain = text.replace("_", "").replace("-", "")
    return not plain or (plain.isascii() and plain.isalnum() and plain == plain.lower())


def check_unknown(
    prefix: str, raw: dict[str, Any], known: tuple[str, ...], problems: list[str]
) -> None:
    """Append a problem for each key that is not known, with the known one that is nearly it."""
    for name in raw:
        if name not in known:
            import difflib  # 1 MiB, which only a mistake pays for

            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f", did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
            problems.append(f"{prefix}{name} is unknown{hint}")


def _agent(where: str, entry: dict[str, Any], problems: list[str]) -> Agent:
    name, waker = entry.get("name"), entry.get("waker", "hook")
    known: tuple[str, ...] = _OF_EVERY_AGENT
    if waker in RUNTIMES:
        known = ("name", "waker", "token_file", *_OF_EVERY_TURN, *_OF_RUNTIME[waker])
    check_unknown(f"{where}.", entry, known, problems)
    if not isinstance(name, str) or not is_name(name):
        problems.append(f"{where}.name is {name!r}: it must match {NAME}")
    if waker not in WAKERS:
        problems.append(f"{where}.waker is {waker!r}: use one of {', '.join(WAKERS)}")
    token_file = _path(where, "token_file", entry.get("token_file", ""), problems)
    if waker in RUNTIMES:
        turns = _turns(where, entry, problems)
        return Agent(str(name), waker, turns=turns, token_file=token_file)
    command = _words(f"{where}.command", entry.get("command", []), problems)
    if waker == "command" and not command:
        problems.append(f"{where}.command is missing: waker command needs an argv list")
    return Agent(str(name), str(waker), command, token_file=token_file)


def _turns(where: str, entry: dict[str, Any], problems: list[str]) -> Turns:
    usual = Turns("", "")

    def one_of(key: str, choices: tuple[str, ...], default: str) -> str:
        value = entry.get(key, default)
        if value not in choices:
            problems.append(f"{where}.{key} is {value!r}: use one of {', '.join(choices)}")
        return str(value)

    def words(key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return _words(f"{where}.{key}", entry.get(key, list(default)), problems)

    import re  # here, because a pattern takes its time

    user = entry.get("user")
    if not isinstance(user, str) or not re.fullmatch(USER, user):
        problems.append(f"{where}.user is {user!r}: the name of a user is expected")
    program = entry.get("program", "")
    if not isinstance(program, str) or ("/" in program and not program.startswith("/")):
        problems.append(f"{where}.program is {program!r}: a name or an absolute path is expected")
    limit_s = entry.get("turn_limit_s", usual.limit_s)
    if isinstance(limit_s, bool) or not isinstance(limit_s, (int, float)):
        problems.append(f"{where}.turn_limit_s is {limit_s!r}: a number of seconds is expected")
        limit_s = usual.limit_s
    elif limit_s < SHORTEST_TURN_S:
        problems.append(f"{where}.turn_limit_s is {limit_s:g}: at least {SHORTEST_TURN_S:g} s")
    return Turns(
        str(user),
        _path(where, "folder", entry.get("folder") or None, problems),
        str(program),
        limit_s=float(limit_s),
        session=one_of("session", SESSIONS, usual.session),
        arguments=words("arguments", ()),
        environment_file=_path(
            where, "environment_file", entry.get("environment_file", ""), problems
        ),
        permission_mode=one_of("permission_mode", PERMISSION_MODES, usual.permission_mode),
        allowed_tools=words("allowed_tools", usual.allowed_tools),
        sandbox=one_of("sandbox", SANDBOXES, usual.sandbox),
    )


def _path(where: str, key: str, value: Any, problems: list[str]) -> str:  # noqa: ANN401 - JSON
    if value != "" and not (isinstance(value, str) and value.startswith("/")):
        problems.append(f"{where}.{key} is {value!r}: an absolute path is expected")
    return str(value)


def _words(where: str, value: Any, problems: list[str]) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        problems.append(f"{where}: a list of strings is expected")
        return ()
    return tuple(value)
