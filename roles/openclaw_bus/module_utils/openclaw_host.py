"""Finds a host's OpenClaw gateway: its folder, settings file, port, and how to run its command.

Looked for in this order: the process that listens, as it was really started; the unit that would
start it, with drop-ins and environment files; OpenClaw's own defaults. Whoever calls lays over it
what the inventory says. Needs root to see other users' processes. Python 3.9, standard library.

The gateway's environment may hold keys of model providers, which its settings may refer to: it is
handed to the commands that run as the gateway's user, and to nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pwd
    from collections.abc import Iterable

DEFAULT_PORT = 18789
PROC = Path("/proc")
SYSTEMCTL_TIMEOUT_S = 30
UNUSED = ("UnitFileState=disabled", "ActiveState=inactive")
USER_UNITS = (".config/systemd/user", ".local/share/systemd/user", "/etc/systemd/user")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_PATHS = (
    *(".local/bin", "bin", ".npm-global/bin", ".npm-packages/bin", ".local/share/pnpm"),
    *(".volta/bin", ".bun/bin", ".asdf/shims", ".nvm/versions/node/*/bin", ".fnm/aliases/*/bin"),
)
"""Where installers put a user's own programs; a gateway's unit rarely names them in its PATH."""
NOT_FOR_COMMANDS = re.compile(
    r"(NOTIFY_SOCKET|WATCHDOG_\w+|LISTEN_\w+|MAINPID|INVOCATION_ID|JOURNAL_STREAM|MEMORY_PRESSURE_\w+"
    r"|CREDENTIALS_DIRECTORY|OPENCLAW_SERVICE_\w+|OPENCLAW_SYSTEMD_UNIT|NODE_OPTIONS)$"
)
"""What belongs to the service itself: a debugger's port, systemd's sockets."""


class Start(NamedTuple):
    """How a unit or a process starts a gateway: as which user and with what."""

    name: str
    user: str
    argv: tuple[str, ...]
    environment: dict[str, str]

    @property
    def port(self) -> int | None:
        """Return the port that the start names; None leaves it to the settings file."""
        named = self.option("--port") or self.environment.get("OPENCLAW_GATEWAY_PORT", "")
        return int(named) if named.isdigit() else None

    def option(self, name: str) -> str:
        """Return the value of an option of the command line; empty without that option."""
        for number, word in enumerate(self.argv):
            if word == name and number + 1 < len(self.argv):
                return self.argv[number + 1]
            if word.startswith(f"{name}="):
                return word[len(name) + 1 :]
        return ""


class Running(NamedTuple):
    """A process that listens; `argv` is what it calls itself now."""

    pid: int
    parent: int
    uid: int
    ports: tuple[int, ...]
    argv: tuple[str, ...]
    unit: str

    @property
    def is_openclaw(self) -> bool:
        """Tell from its command line and its unit's name whether it is a gateway."""
        return "openclaw" in " ".join(self.argv).lower() or "openclaw" in self.unit.lower()


@dataclass(frozen=True)
class Known:
    """What is known of the gateway.

    Attributes:
        source: where it is known from, for the operator; empty: OpenClaw's defaults.
        port: where it listens, or would; None when nothing says so.
        state_dir: its folder; config: its settings file; skills: the folder that agents share.
        program: how to run its command, when that shows in how it was started.
        stranger: the user that runs what listens there, when that is another one.
        rivals: units of which any may be it, when nothing else says where it is.
        usual: where the settings file of the user's OpenClaw is by default.
        environment: handed to its commands; never shown.
    """

    source: str
    port: int | None
    state_dir: Path
    config: Path
    skills: Path
    usual: Path
    program: tuple[str, ...] = ()
    stranger: str = ""
    rivals: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict, repr=False)


def find(user: pwd.struct_passwd, port: int | None) -> Known:
    """Return what is known of this user's gateway; `port` is where the inventory has it listen."""
    units, running = units_of(user), listeners()
    process = choose(running, user.pw_uid, port)
    if process is None and port is None and not units:
        process = choose(running, user.pw_uid, DEFAULT_PORT)  # perhaps another user's
    if process is not None and process.uid != user.pw_uid:
        return known(user, None, port, stranger=owner(process.uid))
    if process is not None:
        declared = next((unit for unit in units if unit.name == process.unit), None)
        argv = declared.argv if declared else process.argv
        named = f"process {process.pid}" + (f" ({process.unit})" if process.unit else "")
        begun = Start(named, user.pw_name, argv, environment_of(process.pid))
        return known(user, begun, port or own_port(begun, process.ports))
    fitting = [unit for unit in units if port in {None, unit.port or port}]
    start = fitting[0] if len(fitting) == 1 else None
    found = known(user, start, port or (start.port if start else None))
    return found if start else replace(found, rivals=tuple(unit.name for unit in fitting))


def known(
    user: pwd.struct_passwd, start: Start | None, port: int | None, *, stranger: str = ""
) -> Known:
    """Return what follows from how a gateway is started, by OpenClaw's own rules."""
    if start is None:
        start = Start("", user.pw_name, (), {})
    given = {name: value.strip() for name, value in start.environment.items() if value.strip()}
    home = Path(given.get("HOME") or user.pw_dir)
    base = expand(given.get("OPENCLAW_HOME") or str(home), home)
    profile = start.option("--profile") or given.get("OPENCLAW_PROFILE") or "default"
    own = base / (".openclaw" if profile.lower() == "default" else f".openclaw-{profile}")
    state_dir = expand(given.get("OPENCLAW_STATE_DIR") or str(own), base)
    config = expand(given.get("OPENCLAW_CONFIG_PATH") or str(state_dir / "openclaw.json"), base)
    shared = state_dir if given.get("OPENCLAW_STATE_DIR") else config.parent
    return Known(
        source=start.name,
        port=port,
        state_dir=state_dir,
        config=config,
        skills=shared / "skills",
        usual=Path(user.pw_dir) / ".openclaw" / "openclaw.json",
        program=program_of(start.argv),
        stranger=stranger,
        environment=start.environment,
    )


def expand(path: str, home: Path) -> Path:
    """Return an absolute path; `~` is OpenClaw's home, which need not be the user's."""
    if path == "~" or path.startswith("~/"):
        return home / path[2:]
    return home / path


def program_of(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return Node.js and OpenClaw's script, as the gateway was started with them."""
    scripts = [word for word in argv[1:2] if word.endswith((".js", ".mjs"))]
    found = (argv[0], scripts[0]) if scripts and "openclaw" in scripts[0] else ()
    return found if all(os.path.isfile(part) for part in found) else ()  # noqa: PTH113 - argv


def choose(running: Iterable[Running], uid: int, port: int | None) -> Running | None:
    """Return the gateway among what listens: on that port, else the user's only one.

    What a gateway has started itself (an agent's development server) is none.
    """
    gateways = [process for process in running if process.is_openclaw]
    if port is not None:
        return next((found for found in gateways if port in found.ports), None)
    pids = {found.pid for found in gateways}
    own = [found for found in gateways if found.uid == uid and found.parent not in pids]
    usual = [found for found in own if DEFAULT_PORT in found.ports]
    return (usual or own)[0] if usual or len(own) == 1 else None


def own_port(start: Start, ports: tuple[int, ...]) -> int:
    """Return where a gateway takes its hooks; it may listen for more than that."""
    return next((port for port in (start.port, DEFAULT_PORT) if port in ports), min(ports))


def listeners() -> list[Running]:
    """Return every process that listens on TCP, as far as this user may see."""
    sockets = listening(
        text for name in ("net/tcp", "net/tcp6") for text in [read_text(PROC / name)]
    )
    found = []
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            links = [str(entry.readlink()) for entry in (folder / "fd").iterdir()]
            uid = folder.stat().st_uid
        except OSError:
            continue  # it has ended, or is not ours to see
        ports = {sockets[link] for link in links if link in sockets}
        if ports:
            parent = re.search(r"^PPid:\s*(\d+)", read_text(folder / "status"), re.MULTILINE)
            argv = tuple(filter(None, read_text(folder / "cmdline").split("\0")))
            found.append(
                Running(
                    pid=int(folder.name),
                    parent=int(parent[1]) if parent else 0,
                    uid=uid,
                    ports=tuple(sorted(ports)),
                    argv=argv,
                    unit=unit_of(read_text(folder / "cgroup")),
                )
            )
    return sorted(found)


def listening(tables: Iterable[str]) -> dict[str, int]:
    """Return the ports by the names of their sockets, from the kernel's tables of TCP."""
    found = {}
    for line in (line.split() for table in tables for line in table.splitlines()[1:]):
        if line[3] == "0A":  # listening
            found[f"socket:[{line[9]}]"] = int(line[1].rpartition(":")[2], 16)
    return found


def unit_of(groups: str) -> str:
    """Return the innermost service of a process, from its control groups; empty when none."""
    for line in groups.splitlines():
        named = [part for part in line.split("/") if part.endswith(".service")]
        if named and not named[-1].startswith("user@"):
            return named[-1]
    return ""


def environment_of(pid: int) -> dict[str, str]:
    """Return what a process was started with."""
    words = read_text(PROC / str(pid) / "environ").split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def owner(uid: int) -> str:
    """Return a user's name, or the number of one that has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def units_of(user: pwd.struct_passwd) -> list[Start]:
    """Return the units that start this user's gateways, the system's and the user's own."""
    names = {user.pw_name, str(user.pw_uid)}
    return [unit for unit in (*system_units(), *own_units(user)) if unit.user in names]


def system_units() -> list[Start]:
    """Return the system's units that start OpenClaw, as systemd has them in force."""
    listed = systemctl("list-unit-files", "--type=service", "--no-legend", "--plain", "*openclaw*")
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    loaded = systemctl("show", "--property=Id,ExecStart", "*.service")
    named = [
        dict(line.split("=", 1) for line in b.splitlines()) for b in loaded.split("\n\n") if b
    ]
    names += [unit["Id"] for unit in named if "openclaw" in unit.get("ExecStart", "").lower()]
    names = sorted(name for name in set(names) if not name.endswith("@.service"))
    if not names:
        return []
    properties = "Id,User,ExecStart,Environment,EnvironmentFiles,UnitFileState,ActiveState"
    shown = systemctl("show", f"--property={properties}", *names).split("\n\n")
    used = [text for text in shown if not ({*UNUSED} <= {*text.splitlines()})]
    return [parse_shown(text) for text in used if "ExecStart=" in text]


def parse_shown(text: str) -> Start:
    """Return a unit from what `systemctl show` says of it."""
    properties: dict[str, str] = {}
    files = []
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "EnvironmentFiles":
            files.append(value.rpartition(" (")[0])
        properties.setdefault(name, value)
    started = re.search(r"argv\[\]=(.*?) ; ignore_errors=", properties.get("ExecStart", ""))
    environment = assignments(properties.get("Environment", ""))
    for path in files:
        environment.update(environment_file(path))
    argv = tuple(words_of(started[1])) if started else ()
    return Start(properties["Id"], properties.get("User") or "root", argv, environment)


def own_units(user: pwd.struct_passwd) -> list[Start]:
    """Return the user's own units that start OpenClaw, from their files.

    The user's systemd, which could be asked, only runs while the user is logged in or lingers.
    """
    found: dict[str, Start] = {}
    for folder in (Path(user.pw_dir) / place for place in USER_UNITS):
        for file in sorted(folder.glob("*openclaw*.service")):
            dropped = [extra for place in USER_UNITS for extra in drop_ins(user, place, file.name)]
            text = "\n".join(read_text(part) for part in (file, *dropped))
            found.setdefault(file.name, parse_unit(file.name, user, text))
    return list(found.values())


def drop_ins(user: pwd.struct_passwd, place: str, name: str) -> list[Path]:
    """Return a unit's additions in one of the folders of units."""
    return sorted((Path(user.pw_dir) / place / f"{name}.d").glob("*.conf"))


def parse_unit(name: str, user: pwd.struct_passwd, text: str) -> Start:
    """Return a user's unit from its files; what comes later is laid over it, as systemd does."""
    for sign, value in (("%h", user.pw_dir), ("%u", user.pw_name), ("%U", str(user.pw_uid))):
        text = text.replace(sign, value)
    argv: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    files: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if key == "Environment":
            environment = {**environment, **assignments(value)} if value else {}
        elif key == "EnvironmentFile":
            files = [*files, value.lstrip("-")] if value else []
        elif key == "ExecStart":
            argv = tuple(words_of(value.lstrip("@-:+!")))
    for path in files:
        environment.update(environment_file(path))
    return Start(name, user.pw_name, argv, environment)


def assignments(text: str) -> dict[str, str]:
    """Return the variables of a list of assignments, quoted as systemd quotes them."""
    return dict(word.split("=", 1) for word in words_of(text) if "=" in word)


def environment_file(path: str) -> dict[str, str]:
    """Return the variables of an environment file; none when it cannot be read."""
    lines = [line.strip() for line in read_text(Path(path)).splitlines()]
    found = {}
    for line in lines:
        name, sign, value = line.partition("=")
        if sign and not line.startswith(("#", ";")):
            found[name.strip()] = "".join(words_of(value)) if value[:1] in {'"', "'"} else value
    return found


def words_of(text: str) -> list[str]:
    """Return words split at spaces outside quotes; as they are where the quotes do not match."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def systemctl(*arguments: str) -> str:
    """Return what systemctl prints; nothing where it cannot be asked."""
    try:
        return subprocess.run(
            ["systemctl", "--no-pager", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SYSTEMCTL_TIMEOUT_S,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def read_text(path: Path) -> str:
    """Return a file's text, nothing when there is none to be had."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
