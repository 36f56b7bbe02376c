"""The server's settings: one JSON file, read once, every key known or refused.

`docs/reference/hub-settings.md` is generated from this model.
"""

from __future__ import annotations

import difflib
import json
import socket
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from agent_bus.core import errors


class TlsFiles(NamedTuple):
    """Two PEM files that belong together."""

    certificate: Path
    key: Path


class HubAddress(BaseModel):
    """One hub of the fleet, and how clients reach it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class Settings(BaseModel):
    """What the operator may set; secrets only as paths of files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bind: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")] = Field(
        default="0.0.0.0:8091",
        description="Address and port to listen on.",
    )
    database: Annotated[str, Field(pattern=r"^postgres(ql)?://[^\s]+$")] | Path = Field(
        description="The SQLite file; its folder also holds lock and backups. Or the URL of a "
        "PostgreSQL database, without a password: postgresql://user@host-1,host-2/name."
    )
    database_password_file: Path | None = Field(
        default=None, description="The password for PostgreSQL; read at every connect."
    )
    data_folder: Path | None = Field(
        default=None,
        description="Holds lock and backups of a hub on PostgreSQL, which must name it.",
    )
    commit_timeout_s: float = Field(
        default=3.0,
        gt=0,
        description="A PostgreSQL that takes longer for a commit, standbys included, is left for "
        "its next host.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="This hub's name in the inventory; without it the machine's own name.",
    )
    hubs: tuple[HubAddress, ...] = Field(
        default=(),
        description="All hubs of the fleet, this one too, as objects with name and url (the "
        "address by which clients reach it); for `GET /api/hubs`.",
    )
    page_url: Annotated[str | None, Field(pattern=r"^https?://[^\s/]+/?$")] = Field(
        default=None,
        description="The page's address as people's browsers reach it, for links in "
        "notifications, such as `https://bus.example.org`; without it that of `hubs`, or the "
        "machine's own name.",
    )
    patroni_url: Annotated[str | None, Field(pattern=r"^https?://[^\s]+$")] = Field(
        default=None,
        description="REST API of the Patroni on the hub's own host, which is asked every 5 s how "
        "the members of the database are; only with PostgreSQL.",
    )
    patroni_ca_file: Path | None = Field(
        default=None, description="Certificate (PEM) of the authority that Patroni is known by."
    )
    etcd_metrics_url: Annotated[str | None, Field(pattern=r"^https?://[^\s]+$")] = Field(
        default=None,
        description="Where the etcd on the hub's own host tells its health and its figures; only "
        "with PostgreSQL.",
    )
    database_certificate_file: Path | None = Field(
        default=None,
        description="Certificate (PEM) of the database's member on the hub's own host; only to "
        "tell when it ends.",
    )
    admin_tokens_file: Path = Field(
        description="One SHA-256 (hex) of a valid admin token per line; two during a rotation."
    )
    metrics_tokens_file: Path | None = Field(
        default=None,
        description="As admin_tokens_file, for tokens that may read /metrics and nothing else.",
    )
    tls_certificate_file: Path | None = Field(
        default=None,
        description="Certificate (PEM, with its chain); with tls_key_file the hub serves https.",
    )
    tls_key_file: Path | None = Field(
        default=None, description="Private key of that certificate (PEM, without a password)."
    )
    tls_ca_file: Path | None = Field(
        default=None,
        description="Certificate (PEM) of the authority behind it; only to tell when it ends.",
    )
    webhooks_file: Path | None = Field(
        default=None,
        description="The webhooks that the hub tells what happens, a JSON file; see "
        "how-to/webhooks.md.",
    )
    channels_file: Path | None = Field(
        default=None,
        description="The channels by which the operator is told of messages, a JSON file; see "
        "how-to/tell-the-operator.md.",
    )
    body_limit_bytes: int = Field(
        default=65536,
        ge=1024,
        le=16 * 1024 * 1024,
        description="Largest request body (413 above it); a roster may have 2 MiB. A message is "
        "text, not a file.",
    )
    page_limit: int = Field(
        default=500, ge=1, le=5000, description="Most rows in one page of any list."
    )
    sends_per_s: float = Field(
        default=20.0,
        gt=0,
        description="Messages per second that one sender may send on average (429 above it).",
    )
    send_burst: int = Field(
        default=200, ge=1, description="Messages that one sender may send at once after a pause."
    )
    hop_limit: int = Field(
        default=50,
        ge=2,
        description="Replies in a row since the operator's last message in the thread.",
    )
    storm_window_s: float = Field(
        default=1800.0,
        gt=0,
        description="Time over which signs of a storm are counted.",
    )
    storm_turns: int = Field(
        default=60,
        ge=8,
        description="Answers of two agents to each other in that time, or messages that go round "
        "a ring, from which their wakes are spaced out. More than `hop_limit`: within one thread "
        "that limit comes first.",
    )
    storm_repeats: int = Field(
        default=12,
        ge=4,
        description="Answers in a row that say nothing new, in half of that time, from which the "
        "wakes of their thread are spaced out.",
    )
    storm_echoes: int = Field(
        default=12,
        ge=2,
        description="Broadcasts that answer broadcasts, in that time, of agents that have just "
        "sent one: from so many on, and more than senders, their wakes are spaced out.",
    )
    storm_spacing_s: float = Field(
        default=60.0,
        gt=0,
        description="Time between two wakes of a storm that is spaced out: longer than a turn of "
        "an agent takes, short enough for work that was taken for a storm.",
    )
    storm_more: int = Field(
        default=10,
        ge=1,
        description="Messages of a storm that is spaced out, after which it wakes nobody until "
        "the operator says a word.",
    )
    storm_quiet_s: float = Field(
        default=600.0,
        gt=0,
        description="A storm that is spaced out and quiet for this time is over.",
    )
    streams_per_token: int = Field(
        default=100, ge=1, description="Open streams and long polls of one token (503 above it)."
    )
    streams_total: int = Field(
        default=5000, ge=1, description="Open streams and long polls of all tokens (503 above it)."
    )
    stream_queue_events: int = Field(
        default=1000,
        ge=10,
        description="Events that may wait for one slow stream; then it is cut and resumes later.",
    )
    stream_lifetime_s: float = Field(
        default=900.0, gt=0, description="After this, give or take 20 %, a stream is renewed."
    )
    keepalive_s: float = Field(
        default=15.0,
        gt=0,
        description="A comment is sent on a stream that was quiet for this time.",
    )
    write_timeout_s: float = Field(
        default=10.0, gt=0, description="A peer that takes no bytes for this time is cut off."
    )
    read_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="A peer that sends no byte of its body for this time is refused (400).",
    )
    retry_ms: int = Field(
        default=1000, ge=0, description="Reconnect delay that streams recommend to clients."
    )
    lease_s: float = Field(
        default=75.0,
        gt=0,
        description="A watcher that reports nothing for this time counts as gone.",
    )
    offline_after_s: float = Field(
        default=300.0,
        gt=0,
        description="An agent without a sign of life for this time is offline.",
    )
    retain_read_days: float = Field(
        default=7.0, gt=0, description="Read messages older than this move to the archive."
    )
    retain_archive_days: float = Field(
        default=365.0, gt=0, description="Archived messages older than this are dropped."
    )
    sweep_interval_s: float = Field(
        default=60.0,
        gt=0,
        description="Longest time between two runs of retention. Messages expire within a "
        "second of their time, whatever it is.",
    )
    backup_keep: int = Field(
        default=7, ge=1, description="Backups kept beside the database; older ones are deleted."
    )
    readers: int = Field(
        default=4, ge=1, le=64, description="Read-only database connections, each with a thread."
    )
    auth_failures_per_min: int = Field(
        default=20,
        ge=1,
        description="Wrong tokens that one address may try per minute (429 above it).",
    )

    @field_validator(
        "database",
        "database_password_file",
        "data_folder",
        "patroni_ca_file",
        "database_certificate_file",
        "admin_tokens_file",
        "metrics_tokens_file",
        "tls_certificate_file",
        "tls_key_file",
        "tls_ca_file",
        "webhooks_file",
        "channels_file",
    )
    @classmethod
    def _absolute(cls, value: Path | str | None) -> Path | str | None:
        if isinstance(value, Path) and not value.is_absolute():
            if ":/" in str(value):
                raise ValueError("must be postgresql://..., or the absolute path of a SQLite file")
            raise ValueError("must be an absolute path")
        return value

    @field_validator("database")
    @classmethod
    def _without_password(cls, value: Path | str) -> Path | str:
        if isinstance(value, str) and urlsplit(value).password is not None:
            raise ValueError("the password belongs into the file of database_password_file")
        return value

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError(
                "tls_certificate_file and tls_key_file are set together or not at all"
            )
        if isinstance(self.database, str) and self.data_folder is None:
            raise ValueError("data_folder is needed with PostgreSQL")
        names = [hub.name for hub in self.hubs]
        if names and (len(names) > len(set(names)) or self.hub_name not in names):
            raise ValueError(f"hubs must name each hub once, and this one too: {self.hub_name}")
        return self

    @property
    def sqlite_file(self) -> Path | None:
        """The database file; None on PostgreSQL."""
        return None if isinstance(self.database, str) else self.database

    @property
    def folder(self) -> Path:
        """Where lock and backups are."""
        if isinstance(self.database, Path):
            return self.database.parent
        assert self.data_folder is not None
        return self.data_folder

    @property
    def hub_name(self) -> str:
        """Under which name other hubs and clients know this one."""
        return self.name or socket.gethostname()

    @property
    def hub_url(self) -> str | None:
        """The address by which clients reach this hub, if it is set."""
        return next((hub.url for hub in self.hubs if hub.name == self.hub_name), None)

    @property
    def people_url(self) -> str:
        """The page's address as far as it is known, without a path."""
        scheme = "http" if self.tls is None else "https"
        own = f"{scheme}://{socket.gethostname()}:{self.port}"
        return (self.page_url or self.hub_url or own).rstrip("/")

    @property
    def host(self) -> str:
        """The address part of `bind`."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of `bind`."""
        return int(self.bind.rpartition(":")[2])

    @property
    def tls(self) -> TlsFiles | None:
        """What the hub serves https with; None when it serves http."""
        certificate, key = self.tls_certificate_file, self.tls_key_file
        return TlsFiles(certificate, key) if certificate and key else None

    @property
    def backups_folder(self) -> Path:
        """Where backups are kept."""
        return self.folder / "backups"

    @property
    def worker_connections(self) -> int:
        """Connections of the one worker: streams must never take the place of calls."""
        return self.streams_total + 1000


def load(path: Path) -> Settings:
    """The settings in a file.

    Raises:
        errors.StartupError: the file cannot be read, is not JSON object, or has a key or value
            that is not allowed; the text names each and, for an unknown key, the closest one.
    """
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.StartupError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise errors.StartupError(f"{path}: is not JSON: {error}") from error
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(dict(item)) for item in error.errors(include_url=False)]
        raise errors.StartupError("\n".join(f"{path}: {line}" for line in lines)) from error


def _explain(item: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        closest = difflib.get_close_matches(name, Settings.model_fields, n=1)
        hint = f"; did you mean {closest[0]!r}?" if closest else ""
        return f"{name!r} is no setting{hint}"
    return f"{name}: {item['msg']}"
