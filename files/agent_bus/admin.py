"""`agent-bus-admin`: the operator's verbs on the hub.

Most call the API over loopback with the admin token, because no second process may open a live
database. Those for a stopped service are in `stopped.py`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from agent_bus import (
    admin_wakes,
    admin_words,
    channel_settings,
    checkup,
    settings,
    stopped,
    webhook_settings,
)
from agent_bus.core import errors
from agent_bus.stopped import (
    EXIT_DENIED,
    EXIT_FAILED,
    EXIT_SETTINGS,
    EXIT_TRY_LATER,
    EXIT_UNAVAILABLE,
    AdminError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

EXITS: Final = """\
exit codes: 0 done, 1 failed, 2 usage, 69 the hub does not answer, 75 try later (the service
still runs, a limit, no room), 77 denied (token), 78 the settings file is wrong"""
CONFIG: Final = Path("/etc/agent-bus/hub.json")
TOKEN_FILE: Final = Path("/etc/agent-bus/secrets/admin.token")
EXIT_USAGE: Final = 2
_QUEUED: Final = ("pending", "oldest_s", "delivered", "dead", "dropped")
_TRIED: Final = ("disabled_at", "last_success_at", "last_error")
OUTWARD: Final = {
    "webhooks": ("name", *_QUEUED, "secrets", "failures", "held_s", *_TRIED),
    "channels": ("name", "kind", *_QUEUED, "failures", "held_by", "held_until", *_TRIED),
}
"""What is listed of each."""
TIMEOUT_S: Final = 60
"""For what the hub answers at once."""
OTHER_S: Final = 5
"""For one answer while many are asked."""
UNBOUNDED: Final = frozenset({"backup", "archive"})
"""Verbs that take as long as the database is large. Nothing but the end of the connection ends the
wait: it is loopback, so a hub that dies closes it, and systemd's watchdog ends one that hangs."""
READS: Final = {
    "roster": ("/api/agents", admin_words.roster),
    "rights": ("/api/rights", admin_words.rights),
    "status": ("/api/cluster", admin_words.status),
    "storms": ("/api/storms", admin_words.storms),
}
ACTS: Final[dict[str, Callable[[argparse.Namespace], tuple[str, object]]]] = {
    "wake": lambda asked: (f"/api/agents/{asked.name}/wake", None),
    "mute": lambda asked: (f"/api/agents/{asked.name}/mute", {"for_s": asked.for_s}),
    "release": lambda asked: ("/api/storms/release", {"what": " ".join(asked.what)}),
}
"""Verb -> where to post, and what."""
"""Verbs that only show what a path answers, perhaps for one agent."""
PROGRESS_S: Final = 5.0
"""Between two lines on stderr about a backup that is being made."""


class PinnedConnection(http.client.HTTPSConnection):
    """HTTPS to the hub of this machine, which must show this very certificate, for any name."""

    def __init__(self, host: str, port: int, certificate: Path, timeout_s: float | None) -> None:
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        own = certificate.read_text(encoding="ascii").partition(end)[0].partition(begin)[2]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=f"{begin}{own}{end}\n")
        super().__init__(host, port, timeout=timeout_s, context=context)


class RunningHub:
    """The running hub, by its API."""

    def __init__(self, chosen: settings.Settings, token_file: Path) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(chosen.host, chosen.host)  # noqa: S104 - compared, not bound
        self._port = chosen.port
        self._ca = chosen.tls_ca_file
        self._certificate = None if chosen.tls is None else chosen.tls.certificate
        try:
            self._token = token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AdminError(
                f"{token_file} cannot be read ({error}); run it as root", 77
            ) from error

    def call(
        self, method: str, path: str, body: object = None, *, timeout_s: float | None = TIMEOUT_S
    ) -> Any:  # noqa: ANN401 - decoded JSON
        """The decoded answer; without `timeout_s`, whenever the hub has it.

        Raises:
            AdminError: no answer, or a refusal.
        """
        payload = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            with closing(self._connection(timeout_s)) as connection:
                connection.request(method, path, payload, headers)
                answer = connection.getresponse()
                status, content = answer.status, json.loads(answer.read() or b"null")
        except ssl.SSLCertVerificationError as error:
            raise AdminError(
                f"the hub at {self._host}:{self._port} does not show a valid certificate out of "
                f"{self._certificate}: {error.verify_message}; run the site playbook, which "
                "renews it and restarts the hub",
                EXIT_UNAVAILABLE,
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AdminError(
                f"the hub at {self._host}:{self._port} does not answer: {error}; see "
                "`systemctl status agent-bus`",
                EXIT_UNAVAILABLE,
            ) from error
        if status >= 400:  # noqa: PLR2004 - the first of the refusals
            raise AdminError(f"{content['detail']} ({content['code']})", _exit_of(status))
        return content

    def ask(self, url: str | None, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """What this hub (None) or another one answers to a GET.

        Raises:
            AdminError: no answer, or a refusal.
        """
        if url is None:
            return self.call("GET", path, timeout_s=OTHER_S)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        connection = http.client.HTTPConnection(host, port, timeout=OTHER_S)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self._ca)
            connection = http.client.HTTPSConnection(host, port, timeout=OTHER_S, context=context)
        try:
            with closing(connection):
                headers = {"Authorization": f"Bearer {self._token}"}
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                status, content = answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AdminError(f"{url} does not answer: {error}", EXIT_UNAVAILABLE) from error
        if status >= 400:  # noqa: PLR2004 - the first of the refusals
            raise AdminError(f"{content['detail']} ({content['code']})", _exit_of(status))
        return content

    @property
    def public_url(self) -> str:
        """The hub's address as other machines may know it."""
        scheme = "http" if self._certificate is None else "https"
        return f"{scheme}://{socket.gethostname()}:{self._port}"

    def _connection(self, timeout_s: float | None) -> http.client.HTTPConnection:
        if self._certificate is not None:
            return PinnedConnection(self._host, self._port, self._certificate, timeout_s)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)


def verbs() -> list[str]:
    """The verbs there are."""
    parser = argparse.ArgumentParser()
    found = parser.add_subparsers()
    _add_verbs(found)
    return list(found.choices)


def main(argv: Sequence[str]) -> int:
    """Run one verb; answers the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        chosen = settings.load(arguments.config)
        if arguments.verb == "check-config":
            webhook_settings.load(chosen.webhooks_file)
            channel_settings.require_apprise(channel_settings.load(chosen.channels_file))
            print(f"{arguments.config}: ok")
            return 0
        if arguments.verb in stopped.VERBS:
            content = stopped.run(arguments, chosen)
            _show(arguments, content, admin_words.flat(content))
            return 0
        return _online(arguments, chosen)
    except errors.StartupError as error:
        print(error, file=sys.stderr)
        return EXIT_SETTINGS
    except AdminError as error:
        print(f"agent-bus-admin: {error}", file=sys.stderr)
        return error.exit_code


def _online(arguments: argparse.Namespace, chosen: settings.Settings) -> int:
    hub = RunningHub(chosen, arguments.token_file)
    verb = arguments.verb
    if verb == "probe":
        content = hub.call("POST", "/api/probes", {"agents": arguments.names or None})
        _show(arguments, content, admin_words.probes(content))
        return 0 if all(result["ok"] for result in content["results"]) else EXIT_FAILED
    if verb in READS or verb in admin_wakes.VERBS:
        _show(arguments, *_shown(arguments, hub))
        return 0
    if verb in OUTWARD:
        return _outward(arguments, hub, OUTWARD[verb])
    if verb == "doctor":
        return _doctor(arguments, chosen, hub)
    if verb == "stats":
        content = hub.call("GET", "/api/stats")
    elif verb in ACTS:
        content = hub.call("POST", *ACTS[verb](arguments))
    elif verb == "login-link":
        content = hub.call("POST", "/api/admin/login-link")
        url = arguments.url or hub.public_url
        content["url"] = f"{url.rstrip('/')}{content.pop('path')}"
        _show(arguments, content, [content["url"]])
        return 0
    else:
        with _progress(chosen) if verb == "backup" else nullcontext():
            timeout_s = None if verb in UNBOUNDED else TIMEOUT_S
            content = hub.call("POST", f"/api/admin/{verb}", timeout_s=timeout_s)
    _show(arguments, content, admin_words.flat(content))
    return 0


def _shown(arguments: argparse.Namespace, hub: RunningHub) -> tuple[Any, Iterable[str]]:
    """What the hub answers to a verb that shows something, and its words."""
    if arguments.verb in admin_wakes.VERBS:
        return admin_wakes.run(arguments, hub.call)
    path, words = READS[arguments.verb]
    name = getattr(arguments, "name", None)
    content = hub.call("GET", path if name is None else f"{path}?agent={quote(name, safe='')}")
    more = _held(hub) if arguments.verb == "status" else []
    return content, [*words(content), *more]


def _held(hub: RunningHub) -> list[str]:
    """What keeps agents from being woken, below the state of the hubs; perhaps nothing."""
    lines = [
        *admin_wakes.pause_lines(hub.call("GET", "/api/pauses")),
        *admin_words.storm_lines(hub.call("GET", "/api/storms")),
    ]
    return ["", *lines] if lines else []


@contextmanager
def _progress(chosen: settings.Settings) -> Iterator[None]:
    """Say on stderr how far the copy is, as long as the block runs."""
    done = threading.Event()
    file = chosen.sqlite_file

    def watch() -> None:
        while not done.wait(PROGRESS_S):
            with suppress(OSError):  # the hub has just renamed it, or this user may not look
                whole = 0.0 if file is None else file.stat().st_size / 1e6
                for part in chosen.backups_folder.glob(".bus-*.db.part"):
                    copied = part.stat().st_size / 1e6
                    of = f" of about {whole:,.0f}" if whole else ""
                    words = f"{copied:,.0f}{of} MB copied, then it is checked"
                    print(f"backup: {words}", file=sys.stderr, flush=True)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _exit_of(status: int) -> int:
    if status in {401, 403}:
        return EXIT_DENIED
    return EXIT_TRY_LATER if status in {429, 503, 507} else EXIT_FAILED


def _show(arguments: argparse.Namespace, content: object, lines: Iterable[str]) -> None:
    if arguments.json:
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for line in lines:
            print(line)


def _outward(arguments: argparse.Namespace, hub: RunningHub, columns: tuple[str, ...]) -> int:
    """List the webhooks or channels, or do something about one."""
    verb = arguments.verb
    if arguments.action == "list":
        content = hub.call("GET", f"/api/{verb}")
        _show(arguments, content, admin_words.table(columns, content[verb]))
        return 0
    if arguments.name is None:
        one = verb.removesuffix("s")
        raise AdminError(f"say which {one}: {verb} {arguments.action} NAME", EXIT_USAGE)
    name = quote(arguments.name, safe="")
    content = hub.call("POST", f"/api/{verb}/{name}/{arguments.action}")
    _show(arguments, content, admin_words.flat(content))
    return 0 if content.get("ok", True) else EXIT_FAILED


def _doctor(arguments: argparse.Namespace, chosen: settings.Settings, hub: RunningHub) -> int:
    found = list(checkup.checks(chosen, hub.ask, now=time.time_ns() // 1_000_000))
    _show(arguments, {"checks": [one._asdict() for one in found]}, checkup.lines(found))
    return 0 if all(one.ok for one in found) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent-bus-admin",
        description="The operator's tool of the message bus; run it as root on the hub.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help="default: %(default)s")
    parser.add_argument("--token-file", type=Path, default=TOKEN_FILE, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_verbs(parser.add_subparsers(dest="verb", required=True, metavar="VERB"))
    return parser


def _add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs.add_parser("check-config", help="validate the settings file")
    verbs.add_parser("roster", help="all agents and whether they can be reached")
    rights = verbs.add_parser("rights", help="who may write to whom, and by which rule")
    rights.add_argument("name", metavar="AGENT", nargs="?", help="default: all")
    verbs.add_parser("status", help="the hubs, their database and etcd")
    verbs.add_parser("doctor", help="check what this hub's host needs, and say what to do")
    verbs.add_parser("stats", help="totals, latency, streams, database")
    verbs.add_parser("backup", help="make a verified backup now")
    verbs.add_parser("archive", help="run retention now")
    wake = verbs.add_parser("wake", help="let the watcher wake an agent again")
    wake.add_argument("name", metavar="AGENT")
    mute = verbs.add_parser("mute", help="let the watcher leave an agent alone for a while")
    mute.add_argument("name", metavar="AGENT")
    mute.add_argument("for_s", metavar="SECONDS", type=float, help="0 ends a mute")
    verbs.add_parser("storms", help="which threads and pairs are damped or held, and why")
    release = verbs.add_parser("release", help="let a storm go on, and count it anew")
    release.add_argument(
        "what", metavar="KEY", nargs="+", help="a thread, two agents, a ring, or broadcasts"
    )
    admin_wakes.add_verbs(verbs)
    probe = verbs.add_parser("probe", help="ask the watchers whether agents could be woken")
    probe.add_argument("names", metavar="AGENT", nargs="*", help="default: all")
    hooks = verbs.add_parser("webhooks", help="how the webhooks fare; deliver now, or test one")
    hooks.add_argument("action", choices=("list", "retry", "test"), nargs="?", default="list")
    hooks.add_argument("name", metavar="WEBHOOK", nargs="?")
    ways = verbs.add_parser("channels", help="how the operator's channels fare; test one")
    ways.add_argument("action", choices=("list", "test"), nargs="?", default="list")
    ways.add_argument("name", metavar="CHANNEL", nargs="?")
    link = verbs.add_parser("login-link", help="a link that signs a browser in once")
    link.add_argument(
        "--url",
        help="how the browser reaches the hub; default: by this machine's name",
    )
    restore = verbs.add_parser("restore", help="put a backup back (service stopped)")
    what = restore.add_mutually_exclusive_group(required=True)
    what.add_argument("file", metavar="FILE", type=Path, nargs="?")
    what.add_argument("--prepared", action="store_true", help="what prepare-restore made ready")
    restore.add_argument(
        "--keep-epoch", action="store_true", help="the same history goes on, on PostgreSQL"
    )
    prepare = verbs.add_parser(
        "prepare-restore", help="check a backup and make it ready, while the service runs"
    )
    prepare.add_argument("file", metavar="FILE", type=Path)
    prepare.add_argument("--take", action="store_true", help="rename it instead of copying it")
    importing = verbs.add_parser(
        "import-sqlite", help="fill PostgreSQL with a SQLite file, and compare (service stopped)"
    )
    importing.add_argument("file", metavar="FILE", type=Path)
    how = importing.add_mutually_exclusive_group()
    how.add_argument(
        "--only-compare", action="store_true", help="tell whether PostgreSQL has taken more"
    )
    how.add_argument(
        "--replace", action="store_true", help="although PostgreSQL has another bus's messages"
    )
    verbs.add_parser("verify-db", help="check the whole database (service stopped)")
