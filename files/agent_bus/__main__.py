"""`python -m agent_bus VERB`: the hub's program; `--help` has the verbs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from agent_bus import __version__, channel_settings, settings, webhook_settings
from agent_bus.core import errors
from agent_bus.runtime import log

EX_CONFIG: Final = 78


def main(argv: list[str] | None = None) -> int:
    """Run one verb; answers the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["admin"]:
        from agent_bus import admin

        return admin.main(argv[1:])
    arguments = _parser().parse_args(argv)
    if arguments.verb == "openapi":
        _print_openapi()
        return 0
    try:
        if arguments.verb == "serve":
            _serve(settings.load(arguments.config), arguments.log_level)
        elif arguments.verb == "check-database":
            from agent_bus.app import backend

            chosen = settings.load(arguments.config)
            print(backend.check_database(chosen, arguments.password_file))
        else:
            if arguments.verb == "check-webhooks":
                webhook_settings.load(arguments.config)
            elif arguments.verb == "check-channels":
                channel_settings.require_apprise(channel_settings.load(arguments.config))
            else:
                settings.load(arguments.config)
            print(f"{arguments.config}: ok")
    except errors.StartupError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    return 0


def _print_openapi() -> None:
    from agent_bus.api import openapi

    print(openapi.as_text(), end="")


def _serve(chosen: settings.Settings, log_level: str) -> None:
    from gevent import monkey

    monkey.patch_all()  # before anything else is imported that keeps a socket or a lock

    from agent_bus.runtime.greenlets import native_rlock
    from agent_bus.server.gunicorn_conf import Server

    log.configure(log_level, make_lock=native_rlock)
    _require_descriptors(chosen.worker_connections, streams=chosen.streams_total)
    Server(chosen, notify_socket=os.environ.pop("NOTIFY_SOCKET", None)).run()


def _require_descriptors(connections: int, *, streams: int) -> None:
    """Raise the soft limit of open files to what the connections need, and the streams beside.

    Raises:
        errors.StartupError: the hard limit is too low.
    """
    import resource

    needed = connections + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise errors.StartupError(
            f"{needed} open files are needed for {connections} connections, the limit is {hard}: "
            "raise LimitNOFILE in the unit, or lower streams_total."
        )
    wished = needed + streams
    if hard != resource.RLIM_INFINITY:
        wished = min(wished, hard)
    if soft != resource.RLIM_INFINITY and soft < wished:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wished, hard))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent_bus", description="The hub of the message bus.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="serve the API and the streams")
    serve.add_argument("--config", type=Path, required=True, help="settings file (JSON)")
    serve.add_argument("--log-level", default="INFO", help="default: %(default)s")
    check = verbs.add_parser("check-config", help="validate a settings file and exit")
    check.add_argument("config", type=Path, help="settings file (JSON)")
    hooks = verbs.add_parser("check-webhooks", help="validate a file of webhooks and exit")
    hooks.add_argument("config", type=Path, help="file of webhooks (JSON)")
    channels = verbs.add_parser("check-channels", help="validate a file of channels and exit")
    channels.add_argument("config", type=Path, help="file of channels (JSON)")
    database = verbs.add_parser("check-database", help="ask whether PostgreSQL can hold the bus")
    database.add_argument("config", type=Path, help="settings file (JSON)")
    database.add_argument(
        "--password-file",
        type=Path,
        help="in place of the setting's, which only the service can read",
    )
    verbs.add_parser("admin", help="the operator's verbs; see `admin --help`", add_help=False)
    verbs.add_parser("openapi", help="print the OpenAPI document of the API")
    return parser


if __name__ == "__main__":
    sys.exit(main())
