"""The channels by which the operator is told: one JSON file, a secret, since URLs hold tokens.

No text made here repeats a URL.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zoneinfo
from datetime import time
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from agent_bus import webhook_settings
from agent_bus.core import errors
from agent_bus.core.guards.quiet import DAY_MIN, Digest, QuietHours, Times
from agent_bus.core.states import Priority
from agent_bus.webhook_settings import Signed, Webhook

SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://.", re.IGNORECASE)
TIME: Final = r"^([01]\d|2[0-3]):[0-5]\d$"
MOST: Final = 10
"""Each has greenlets of its own, and a person who reads what comes by it."""
PREFIX: Final = "channel."
"""Before a channel's name in the queue: no webhook's name has a dot."""
URGENT: Final[tuple[Priority, ...]] = ("urgent",)

APPRISE: Final = (sys.executable, "-m", "agent_bus.channels.apprise_child")
"""The program that speaks to services; the URLs reach it by its stdin."""
KEPT: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What it gets of the environment: no proxy is asked, as for webhooks."""

TimeOfDay = Annotated[str, Field(pattern=TIME)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Quiet(_Part):
    """When a channel is silent."""

    start: Annotated[TimeOfDay, Field(alias="from")]
    end: Annotated[TimeOfDay, Field(alias="to")]
    excepted: Annotated[tuple[Priority, ...], Field(alias="except")] = URGENT

    @model_validator(mode="after")
    def _not_always(self) -> Self:
        if self.start == self.end:
            raise ValueError("from and to are the same time")
        return self


class Gathered(_Part):
    """When a channel tells all that has come since the last time."""

    at: TimeOfDay | None = None
    every_min: Annotated[int | None, Field(ge=5, le=DAY_MIN)] = None
    excepted: Annotated[tuple[Priority, ...], Field(alias="except")] = URGENT

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.at is None) == (self.every_min is None):
            raise ValueError("set either at or every_min")
        return self


class Channel(_Part):
    """One way to the operator."""

    name: Annotated[str, Field(pattern=webhook_settings.NAME)]
    url: Annotated[str, Field(repr=False)]
    priorities: Annotated[tuple[Priority, ...], Field(min_length=1)] = ("urgent", "high")
    timezone: str = "UTC"
    quiet_hours: Quiet | None = None
    digest: Gathered | None = None
    body: bool = True
    secrets: tuple[str, ...] = Field(default=(), repr=False)
    allow_http: bool = False
    allow_private: bool = False
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _usable(cls, value: str) -> str:
        if not SCHEME.match(value):
            raise ValueError("must be scheme://..., such as ntfys://host/topic or https://host/")
        return value

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone; write it like Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.is_signed:
            _require_webhook(self)
        elif self.secrets or self.allow_http or self.allow_private or self.ca_file is not None:
            raise ValueError(
                "secrets, allow_http, allow_private and ca_file are for https:// only"
            )
        return self

    @property
    def kind(self) -> str:
        """`webhook`, or the URL's scheme."""
        scheme = urlsplit(self.url).scheme
        return "webhook" if scheme in webhook_settings.PORTS else scheme

    @property
    def is_signed(self) -> bool:
        """Whether it is a signed webhook; all others are what Apprise speaks."""
        return self.kind == "webhook"

    @property
    def queue_name(self) -> str:
        """Its name in the queue of what goes out."""
        return PREFIX + self.name

    @property
    def times(self) -> Times:
        """When it tells."""
        quiet, digest = self.quiet_hours, self.digest
        return Times(
            zoneinfo.ZoneInfo(self.timezone),
            None
            if quiet is None
            else QuietHours(
                time.fromisoformat(quiet.start),
                time.fromisoformat(quiet.end),
                frozenset(quiet.excepted),
            ),
            None
            if digest is None
            else Digest(
                None if digest.at is None else time.fromisoformat(digest.at),
                digest.every_min,
                frozenset(digest.excepted),
            ),
        )

    @property
    def signed(self) -> Signed:
        """What its requests are signed with and where they go; only of a signed webhook."""
        keys = tuple(webhook_settings.secret(text) for text in self.secrets)
        return Signed(_webhook(self), tuple(key for key in keys if key is not None))


class _File(_Part):
    channels: Annotated[tuple[Channel, ...], Field(max_length=MOST)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [one.name for one in self.channels]
        if len(names) > len(set(names)):
            raise ValueError("two channels have the same name")
        return self


def load(path: Path | None) -> tuple[Channel, ...]:
    """The channels in a file; none without a file.

    Raises:
        errors.StartupError: names each fault, and no URL.
    """
    if path is None:
        return ()
    raw = webhook_settings.decoded(path)
    try:
        return _File.model_validate(raw).channels
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        lines = [
            f"{webhook_settings.place(raw, item['loc'], kind='channel')}: {item['msg']}"
            for item in found
        ]
        raise errors.StartupError("\n".join(f"{path}: {line}" for line in lines)) from None


def environment() -> dict[str, str]:
    """What the program for services gets of this one's environment."""
    return {key: os.environ[key] for key in KEPT if key in os.environ}


def require_apprise(channels: tuple[Channel, ...]) -> None:
    """Have Apprise itself parse the URLs that it is to use. For programs without a loop.

    Raises:
        errors.StartupError: names each channel whose URL it does not take, without the URL.
    """
    asked = [one for one in channels if not one.is_signed]
    if not asked:
        return
    items = [{"id": number, "url": one.url} for number, one in enumerate(asked)]
    with subprocess.Popen(
        APPRISE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd="/",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        batch = {"verb": "check", "items": items, "patience_s": 10}
        process.stdin.write(json.dumps(batch).encode() + b"\n")
        process.stdin.flush()
        found = {one["id"]: one["error"] for one in map(json.loads, process.stdout)}
        process.stdin.close()
        said = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
    if len(found) < len(asked):
        why = said if said.startswith("ModuleNotFoundError") else "it gave no answer"
        raise errors.StartupError(f"channels: Apprise could not be asked: {why}")
    lines = [
        f"channel {one.name}: {found[number]}"
        for number, one in enumerate(asked)
        if found[number] is not None
    ]
    if lines:
        raise errors.StartupError("\n".join(lines))


def _require_webhook(channel: Channel) -> None:
    """Check what a signed webhook needs; the texts repeat nothing of the URL."""
    try:
        _webhook(channel)
    except ValidationError as error:
        raise ValueError(error.errors(include_url=False)[0]["msg"]) from None
    if not channel.secrets or None in map(webhook_settings.secret, channel.secrets):
        raise ValueError(
            f"needs secrets, each {webhook_settings.PREFIX} and base64 of 24 to 64 bytes"
        )


def _webhook(channel: Channel) -> Webhook:
    return Webhook(
        name=channel.name,
        url=channel.url,
        agents=("operator",),
        allow_http=channel.allow_http,
        allow_private=channel.allow_private,
        ca_file=channel.ca_file,
    )
