"""What of the server's settings the inventory's own variables decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CREDENTIALS = "/run/credentials/agent-bus.service"
FOLDER = "/var/lib/agent-bus-hub"
DATABASE_CA = "/etc/agent-bus/database-ca.crt"
MEMBER_CERTIFICATE = "/etc/agent-bus-database/member.crt"
"""Of role bus_database; all may read it."""


def hub_settings(
    hub: Mapping[str, Any],
    tls_pair: str,
    database: str = "",
    *,
    has_password: bool = False,
    hubs: Sequence[Mapping[str, str]] = (),
    looks_at: Mapping[str, str] | None = None,
    has_webhooks: bool = False,
    has_channels: bool = False,
) -> dict[str, Any]:
    """Return the settings for /etc/agent-bus/hub.json, in the order in which they stand there.

    Args:
        hub: what `hub_of` says.
        tls_pair: the name under which the hub keeps its certificate and key.
        database: the address of its PostgreSQL; empty for SQLite.
        has_password: whether the hub has a password for that.
        hubs: what `named_hubs` says of all hubs.
        looks_at: what `database_looks` says; nothing without a database of the fleet's own.
        has_webhooks: whether the inventory has any.
        has_channels: whether the operator has any.
    """
    settings: dict[str, Any] = {
        "bind": hub["listens"],
        "database": database or f"{FOLDER}/bus.db",
        "admin_tokens_file": f"{CREDENTIALS}/admin-tokens",
    }
    if len(hubs) > 1:
        settings |= {"name": hub["name"], "hubs": list(hubs)}
    if database:
        settings["data_folder"] = FOLDER
    if has_password:
        settings["database_password_file"] = f"{CREDENTIALS}/database-password"
    settings |= looks_at or {}
    if hub["tls"] != "off":
        settings["tls_certificate_file"] = f"/etc/agent-bus/tls/{tls_pair}.crt"
        settings["tls_key_file"] = f"{CREDENTIALS}/tls-key"
    if hub["ca"]:
        settings["tls_ca_file"] = "/etc/agent-bus/ca.crt"
    if has_webhooks:
        settings["webhooks_file"] = "/etc/agent-bus/webhooks.json"
    if has_channels:
        settings["channels_file"] = f"{CREDENTIALS}/channels"
        settings["page_url"] = hub["url"]
    return settings


def database_url(members: Mapping[str, str], port: int) -> str:
    """Return the address of the PostgreSQL that the hubs run themselves."""
    hosts = ",".join(f"{address}:{port}" for address in members.values())
    options = {
        "target_session_attrs": "read-write",
        "sslmode": "verify-full",
        "sslrootcert": DATABASE_CA,
    }
    return f"postgresql://agent_bus@{hosts}/agent_bus?{urlencode(options, safe='/')}"


def database_looks(address: str, patroni_port: int, etcd_port: int) -> dict[str, str]:
    """Return where a hub asks how the database's programs on its own host are."""
    return {
        "patroni_url": f"https://{address}:{patroni_port}",
        "patroni_ca_file": DATABASE_CA,
        "etcd_metrics_url": f"http://127.0.0.1:{etcd_port}",
        "database_certificate_file": MEMBER_CERTIFICATE,
    }


def with_ca(url: str) -> str:
    """Return the address of a PostgreSQL whose certificate is checked by the operator's CA."""
    if "sslrootcert=" in url:
        return url
    options = {"sslrootcert": DATABASE_CA}
    if "sslmode=" not in url:
        options["sslmode"] = "verify-full"
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options, safe='/')}"


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "hub_settings": hub_settings,
            "database_url": database_url,
            "database_looks": database_looks,
            "with_ca": with_ca,
        }
