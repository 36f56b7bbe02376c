"""The webhooks and channels of a fleet: their secrets here, and what the hub is given."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SECRETS = "/run/credentials/agent-bus.service/webhook-secrets"
KEYS = ("name", "url", "agents", "groups", "fleet", "events", "body")
SWITCHES = ("allow_http", "allow_private")
CHANNEL_KEYS = ("name", "url", "priorities", "timezone", "quiet_hours", "digest", "body")
CHANNEL = "channel."
"""Before a channel's name where webhooks have theirs; no webhook's name has a dot."""


def webhooks_of(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the names of all that signs, channels too, as the first hub's variables have them."""
    hubs = [hub for hub in groups.get("hub", []) if hub in hostvars]
    if not hubs:
        return []
    own = hostvars[hubs[0]]
    channels = own.get("message_bus_operator_channels") or own.get("operator_channels") or []
    signed = signed_channels([one for one in channels if isinstance(one, dict)])
    listed = [*(own.get("message_bus_webhooks") or []), *signed]
    return [str(one.get("name")) for one in listed if isinstance(one, dict)]


def signed_channels(channels: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return those channels that are signed webhooks, each under its name among webhooks."""
    return [
        {**one, "name": f"{CHANNEL}{one.get('name')}"}
        for one in channels
        if str(one.get("url") or "").startswith(("https://", "http://"))
    ]


def channels_json(
    channels: Sequence[Mapping[str, Any]],
    urls: Mapping[str, str],
    secrets: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return what goes into /etc/agent-bus/secrets/channels.json.

    Args:
        channels: those of the inventory.
        urls: what is in the files that hold a URL, by path.
        secrets: of those that are signed webhooks, by their names among webhooks.
    """
    return {"channels": [_channel(one, urls, secrets) for one in channels]}


def _channel(
    one: Mapping[str, Any], urls: Mapping[str, str], secrets: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    entry = {key: one[key] for key in CHANNEL_KEYS if key in one}
    if one.get("url_file"):
        entry["url"] = urls[str(one["url_file"])].strip()
    entry |= {key: True for key in SWITCHES if one.get(key)}
    name = f"{CHANNEL}{one['name']}"
    if name in secrets:
        entry["secrets"] = list(secrets[name])
    if one.get("ca_file"):
        entry["ca_file"] = webhook_ca_path(name)
    return entry


def webhook_secrets(tokens: Iterable[str]) -> list[str]:
    """Return tokens in the form of Standard Webhooks: `whsec_` and base64."""
    return [f"whsec_{base64.b64encode(token.encode()).decode()}" for token in tokens]


def webhooks_json(webhooks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what goes into /etc/agent-bus/webhooks.json."""
    return {"secrets_file": SECRETS, "webhooks": [_entry(one) for one in webhooks]}


def webhook_ca_path(name: str) -> str:
    """Return where the hub keeps the authority that a receiver is verified by."""
    return f"/etc/agent-bus/webhook-{name}-ca.crt"


def webhook_ca_files(
    webhooks: Sequence[Mapping[str, Any]], texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Return entries for module host_files: the authorities of those webhooks that have one."""
    return [
        {"path": webhook_ca_path(str(one["name"])), "content": f"{text}\n", "mode": "0644"}
        for one, text in zip(webhooks, texts, strict=True)
    ]


def webhook_secret_paths(webhooks: Sequence[Mapping[str, Any]], folder: str) -> list[str]:
    """Return the files of each webhook's secret, and of the one before it."""
    files = [f"{folder}/webhooks/{one['name']}.token" for one in webhooks]
    return [path for file in files for path in (file, f"{file}.old")]


def secrets_by_webhook(
    webhooks: Sequence[Mapping[str, Any]], texts: Mapping[str, str], folder: str
) -> dict[str, list[str]]:
    """Return each webhook's secrets, the new one first.

    Args:
        webhooks: those of the inventory.
        texts: what is in the files of secrets that there are, by path.
        folder: of the fleet's secrets.
    """
    found = {}
    for one in webhooks:
        both = (texts.get(path, "").strip() for path in webhook_secret_paths([one], folder))
        found[str(one["name"])] = [text for text in both if text]
    return found


def _entry(one: Mapping[str, Any]) -> dict[str, Any]:
    entry = {key: one[key] for key in KEYS if key in one}
    entry |= {key: True for key in SWITCHES if one.get(key)}
    if one.get("ca_file"):
        entry["ca_file"] = webhook_ca_path(str(one["name"]))
    return entry


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "webhooks_of": webhooks_of,
            "signed_channels": signed_channels,
            "channels_json": channels_json,
            "webhook_secrets": webhook_secrets,
            "webhooks_json": webhooks_json,
            "webhook_ca_files": webhook_ca_files,
            "webhook_secret_paths": webhook_secret_paths,
            "secrets_by_webhook": secrets_by_webhook,
        }
