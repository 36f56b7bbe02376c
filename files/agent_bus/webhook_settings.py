"""The webhooks that the operator has set: one JSON file, and one with their secrets."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from agent_bus.core import errors
from agent_bus.core.states import WebhookEvent

NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
PREFIX: Final = "whsec_"
SECRET_BYTES: Final = range(24, 65)
"""Standard Webhooks: between 24 and 64 bytes."""
MOST: Final = 20
"""Each has greenlets and connections of its own."""
PORTS: Final = {"https": 443, "http": 80}


class Webhook(BaseModel):
    """One receiver, and what it is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME)]
    url: str
    agents: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fleet: bool = False
    events: Annotated[tuple[WebhookEvent, ...], Field(min_length=1)] = ("message",)
    body: bool = False
    allow_http: bool = False
    allow_private: bool = False
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _usable(cls, value: str) -> str:
        fault = url_fault(value)
        if fault:
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.parts.scheme == "http" and not self.allow_http:
            raise ValueError(
                "url: http:// sends everything in clear; use https://, or set allow_http"
            )
        if self.fleet == bool(self.agents or self.groups):
            raise ValueError("set either fleet, or agents and groups")
        if self.parts.scheme == "http" and self.ca_file is not None:
            raise ValueError("ca_file is for https://")
        return self

    @property
    def parts(self) -> SplitResult:
        """The URL, taken apart."""
        return urlsplit(self.url)

    @property
    def host(self) -> str:
        """The receiver's host, as the URL names it."""
        return self.parts.hostname or ""

    @property
    def port(self) -> int:
        """The receiver's port."""
        return self.parts.port or PORTS[self.parts.scheme]

    @property
    def is_tls(self) -> bool:
        """Whether the receiver is asked by https."""
        return self.parts.scheme == "https"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    secrets_file: Path
    webhooks: Annotated[tuple[Webhook, ...], Field(max_length=MOST)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [one.name for one in self.webhooks]
        if len(names) > len(set(names)):
            raise ValueError("two webhooks have the same name")
        return self


@dataclass(frozen=True, slots=True)
class Signed:
    """A webhook with its secrets, the newest first; two during a rotation."""

    webhook: Webhook
    secrets: tuple[bytes, ...]

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Signed({self.webhook.name})"


def url_fault(url: str) -> str | None:
    """What is wrong with a receiver's URL, before anything is asked; None: nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is no URL: {error}"
    fault = None
    if parts.scheme not in PORTS or not parts.hostname:
        fault = "must be https://host/path"
    elif parts.username is not None or parts.password is not None:
        fault = "must hold no user or password: requests are signed, and URLs are shown"
    elif parts.fragment or any(char <= " " or char > "~" for char in url):
        fault = "must be printable ASCII without blanks or a fragment"
    elif port == 0:
        fault = "has the port 0"
    elif not _is_whole(parts.hostname):
        fault = "must write an address in full, as 192.0.2.1"
    return fault


def _is_whole(host: str) -> bool:
    """Whether a host that looks like a number is an address as everybody reads it."""
    last = host.rpartition(".")[2]
    if not (last.isdigit() or last.startswith("0x")):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def load(path: Path | None) -> tuple[Webhook, ...]:
    """The webhooks in a file; none without a file.

    Raises:
        errors.StartupError: names each fault.
    """
    return () if path is None else _load(path).webhooks


def load_signed(path: Path | None) -> tuple[Signed, ...]:
    """The webhooks in a file, each with its secrets.

    Raises:
        errors.StartupError: a file is wrong; the text holds no secret.
    """
    if path is None:
        return ()
    found = _load(path)
    known = decoded(found.secrets_file)
    return tuple(Signed(one, _secrets(one, known, found.secrets_file)) for one in found.webhooks)


def _load(path: Path) -> _File:
    raw = decoded(path)
    try:
        return _File.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        lines = [f"{place(raw, item['loc'], kind='webhook')}: {item['msg']}" for item in found]
        raise errors.StartupError("\n".join(f"{path}: {line}" for line in lines)) from error


def decoded(path: Path) -> Any:  # noqa: ANN401 - decoded JSON
    """What is in a JSON file.

    Raises:
        errors.StartupError: it cannot be read, or is none; the text repeats nothing of it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.StartupError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError:
        raise errors.StartupError(f"{path}: is not JSON") from None


def _secrets(webhook: Webhook, known: Any, path: Path) -> tuple[bytes, ...]:  # noqa: ANN401 - decoded JSON
    """The secrets of one webhook in `{name: [secret, ...]}`, the newest first."""
    found = known.get(webhook.name) if isinstance(known, dict) else None
    keys = tuple(map(secret, found)) if isinstance(found, list) else ()
    if not keys or None in keys:
        raise errors.StartupError(
            f"{path}: webhook {webhook.name} needs a list of secrets, each {PREFIX} and base64 of "
            "24 to 64 bytes"
        )
    return tuple(key for key in keys if key is not None)


def secret(text: object) -> bytes | None:
    """The bytes of a secret of Standard Webhooks; None: it is none."""
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return None
    try:
        found = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return None
    return found if len(found) in SECRET_BYTES else None


def place(raw: Any, loc: tuple[int | str, ...], *, kind: str) -> str:  # noqa: ANN401 - decoded JSON
    """Where a fault is, by the entry's name where it has one; `kind` is what the list holds."""
    parts = [str(part) for part in loc]
    if len(loc) > 1 and loc[0] == f"{kind}s" and isinstance(loc[1], int):
        one = raw[f"{kind}s"][loc[1]]
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            parts[:2] = [f"{kind} {one['name']}"]
    return ".".join(parts) or "the file"
