"""What of the server's settings the inventory's own variables decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CREDENTIALS = "/run/credentials/agent-bus.service"


def hub_settings(hub: Mapping[str, Any], tls_pair: str) -> dict[str, str]:
    """Return the settings for /etc/agent-bus/hub.json, in the order in which they stand there.

    Args:
        hub: what `hub_of` says.
        tls_pair: the name under which the hub keeps its certificate and key.
    """
    settings = {
        "bind": hub["listens"],
        "database": "/var/lib/agent-bus-hub/bus.db",
        "admin_tokens_file": f"{CREDENTIALS}/admin-tokens",
    }
    if hub["tls"] != "off":
        settings["tls_certificate_file"] = f"/etc/agent-bus/tls/{tls_pair}.crt"
        settings["tls_key_file"] = f"{CREDENTIALS}/tls-key"
    if hub["ca"]:
        settings["tls_ca_file"] = "/etc/agent-bus/ca.crt"
    return settings


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"hub_settings": hub_settings}
