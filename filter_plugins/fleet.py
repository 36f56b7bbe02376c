"""Who is in the fleet, and how its hub is reached: what playbooks and several roles share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def tls_mode(value: object) -> str:
    """Return the mode; YAML reads an `off` without quotes as false."""
    return "off" if value in {None, False, ""} else str(value).lower()


def local_address(bind: object) -> str:
    """Return where a program that is bound to the address is reached on its own host.

    IPv6 comes in brackets, as URLs want it. What listens on every address listens on loopback.
    """
    word = str(bind).strip("[]")
    if word in EVERY_ADDRESS:
        return "127.0.0.1"
    return f"[{word}]" if ":" in word else word


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"tls_mode": tls_mode, "local_address": local_address}
