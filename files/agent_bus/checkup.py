"""`agent-bus-admin doctor`: what a hub's host needs, one check after the other, with what to do.

It asks the programs themselves and reads the files, so it says something also while the hub is
down. It changes nothing.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from agent_bus.admin_wakes import pause_lines
from agent_bus.core import alerts, errors
from agent_bus.core.clock import DAY_MS
from agent_bus.core.model import rfc3339
from agent_bus.runtime import certificate
from agent_bus.runtime.database_host import OwnHost
from agent_bus.stopped import AdminError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_bus.runtime.database_host import Host, PatroniMember
    from agent_bus.settings import HubAddress, Settings

    Ask = Callable[[str | None, str], Any]
    """Asks a hub (its URL; None: the own one) for a path.

    Raises:
        AdminError: it does not answer, or refuses.
    """

BUS: Final = "agent-bus.service"
DATABASE: Final = "agent-bus-database.service"
ETCD: Final = "agent-bus-etcd.service"
TIMEOUT_S: Final = 5.0
SSL_REQUEST: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""Asks PostgreSQL for TLS (its documentation, "Message Formats")."""
SITE: Final = "run the site playbook, which renews the fleet's own; replace your own by a new one"


class Check(NamedTuple):
    """One thing that was looked at; `advice` says what to do if it is not ok."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def checks(chosen: Settings, ask: Ask, *, now: int) -> Iterator[Check]:
    """All checks of this host, one by one.

    Args:
        chosen: the hub's settings.
        ask: asks a hub by its API.
        now: ms since 1970.
    """
    yield _unit(BUS)
    yield _ready(ask)
    for other in chosen.hubs:
        if other.name != chosen.hub_name:
            yield _membership(chosen.hub_name, other, ask)
    yield from _held(ask)
    if chosen.patroni_url is not None:
        yield _unit(DATABASE)
        yield _unit(ETCD)
        host = OwnHost(
            chosen.hub_name, chosen.patroni_url, chosen.patroni_ca_file, chosen.etcd_metrics_url
        ).ask()
        yield from _database(chosen.hub_name, host)
        yield _etcd(host)
    if chosen.webhooks_file is not None:
        yield from _webhooks(ask)
    if chosen.channels_file is not None:
        yield from _channels(ask)
    yield from _certificates(chosen, now)


def lines(found: list[Check]) -> Iterator[str]:
    """The checks as they are printed."""
    for check in found:
        yield f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.found}"
        if not check.ok and check.advice:
            yield f"     -> {check.advice}"


def _held(ask: Ask) -> Iterator[Check]:
    """Who is not woken now: no fault, but what somebody who looks for one has to know."""
    with suppress(AdminError):  # the check of the hub says so
        for line in pause_lines(ask(None, "/api/pauses")):
            yield Check("wakes", ok=True, found=line)


def _unit(name: str) -> Check:
    try:
        done = subprocess.run(
            ["systemctl", "is-active", name],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        state = done.stdout.strip() or "unknown"
    except (OSError, subprocess.TimeoutExpired) as error:
        state = f"unknown ({error})"
    advice = f"journalctl -u {name} -n 50; systemctl start {name}"
    return Check(name, state == "active", state, advice)


def _ready(ask: Ask) -> Check:
    try:
        said = ask(None, "/api/cluster")
    except AdminError as error:
        advice = "journalctl -u agent-bus -n 50 says why"
        return Check("hub", ok=False, found=str(error), advice=advice)
    database = said["database"]
    if database is None:
        return Check("hub", ok=True, found="answers")
    words = "; ".join(said["words"])
    lost = [one["name"] for one in database["members"] if not one["there"]]
    if database["primary"] is None:
        advice = (
            "start the hosts of a majority of the hubs; if others have one: look at the network"
        )
    elif database["fenced"]:
        advice = "look at this host's network: other hubs reach the primary"
    else:
        advice = f"start the host of {', '.join(lost)}, or replace it before another is lost"
    ok = not lost and database["primary"] is not None and not database["fenced"]
    return Check("hubs and database", ok=ok, found=words, advice=advice)


def _membership(own: str, other: HubAddress, ask: Ask) -> Check:
    """Whether another hub answers, and hears this one."""
    name = f"hub {other.name}"
    try:
        hubs = ask(other.url, "/api/hubs")["hubs"]
    except AdminError as error:
        advice = f"on {other.name}: systemctl status agent-bus; is {other.url} open from here?"
        return Check(name, ok=False, found=str(error), advice=advice)
    entry = next((one for one in hubs if one["name"] == own), None)
    if entry is None or entry["ready"] is False:
        advice = "it hears this hub by the database: is agent-bus.service here in reach of it?"
        return Check(name, ok=False, found=f"answers, and does not hear {own}", advice=advice)
    return Check(name, ok=True, found=f"answers, and hears {own}")


def _webhooks(ask: Ask) -> Iterator[Check]:
    """Whether each webhook delivers."""
    try:
        found = ask(None, "/api/webhooks")["webhooks"]
    except AdminError as error:
        yield Check("webhooks", ok=False, found=str(error), advice=f"systemctl status {BUS}")
        return
    for one in found:
        name, waits_s = one["name"], one["oldest_s"] or 0
        said = f"{one['pending']} events wait, {one['delivered']} delivered"
        if one["failures"] or one["disabled_at"]:
            said += f"; {one['last_error']}"
        ok = one["disabled_at"] is None and waits_s <= alerts.WEBHOOK_S
        advice = f"mend its receiver; then: agent-bus-admin webhooks retry {name}"
        yield Check(f"webhook {name}", ok=ok, found=said, advice=advice)


def _channels(ask: Ask) -> Iterator[Check]:
    """Whether each of the operator's channels tells."""
    try:
        found = ask(None, "/api/channels")["channels"]
    except AdminError as error:
        yield Check("channels", ok=False, found=str(error), advice=f"systemctl status {BUS}")
        return
    for one in found:
        name = one["name"]
        said = f"{one['pending']} messages wait, {one['delivered']} told"
        if one["held_by"] is not None:
            said += f", held by {one['held_by'].replace('_', ' ')} until {one['held_until']}"
        if one["failures"] or one["disabled_at"]:
            said += f"; {one['last_error']}"
        ok = one["disabled_at"] is None and one["failures"] < alerts.CHANNEL_FAILURES
        advice = f"mend its service; then: agent-bus-admin channels test {name}"
        yield Check(f"channel {name}", ok=ok, found=said, advice=advice)


def _database(own: str, host: Host) -> Iterator[Check]:
    if host.own is None:
        found = "does not answer" if host.members is None else f"does not list {own}"
        yield Check("Patroni", ok=False, found=found, advice=f"journalctl -u {DATABASE} -n 50")
        return
    known = "knows itself alone: etcd does not answer it" if host.members is None else "answers"
    if host.is_paused:
        found = "is paused: no other member takes over"
        yield Check("Patroni", ok=False, found=found, advice="agent-bus-patronictl resume")
    else:
        advice = f"start {ETCD} on a majority of the hubs"
        yield Check("Patroni", host.members is not None, known, advice)
    yield _postgres(host.own)


def _postgres(own: PatroniMember) -> Check:
    role = "primary" if own.is_leader else "standby"
    line = "" if own.timeline is None else f", timeline {own.timeline}"
    lag_bytes = own.lag_bytes or 0
    behind = f", {lag_bytes / 1e6:.1f} MB behind" if lag_bytes else ""
    advice = (
        f"journalctl -u {DATABASE} -n 50; if it cannot follow any more: "
        f"agent-bus-patronictl reinit agent-bus {own.name}"
    )
    ok = own.runs and lag_bytes <= alerts.LAG_BYTES
    return Check("PostgreSQL", ok, f"{role}, {own.state}{line}{behind}", advice)


def _etcd(host: Host) -> Check:
    advice = f"journalctl -u {ETCD} -n 50; is there room on its disk?"
    if host.etcd is None:
        return Check("etcd", ok=False, found="does not answer", advice=advice)
    etcd = host.etcd
    used = etcd.size_bytes / etcd.quota_bytes if etcd.quota_bytes else 0.0
    found = f"{'leads' if etcd.is_leader else 'follows'}, {used:.0%} of its quota used"
    if not etcd.has_leader:
        advice = f"start {ETCD} on a majority of the hubs"
        return Check("etcd", ok=False, found="knows no leader", advice=advice)
    if not etcd.is_healthy or used > alerts.ETCD_USED:
        state = "" if etcd.is_healthy else "not healthy; "
        return Check("etcd", ok=False, found=f"{state}{found}", advice=advice)
    return Check("etcd", ok=True, found=found)


def _certificates(chosen: Settings, now: int) -> Iterator[Check]:
    """When each certificate ends: those in files, and those that the database's servers show."""
    files = {
        "certificate of the hub": chosen.tls_certificate_file,
        "certificate of the authority": chosen.tls_ca_file or chosen.patroni_ca_file,
        "certificate of the database's member": chosen.database_certificate_file,
    }
    for name, path in files.items():
        if path is not None:
            try:
                yield _end(name, certificate.expires_at(path), now)
            except errors.StartupError as error:
                yield Check(name, ok=False, found=str(error), advice=SITE)
    if chosen.patroni_url is not None and chosen.patroni_url.startswith("https"):
        parts = urlsplit(chosen.patroni_url)
        host = parts.hostname or ""
        yield _shown("certificate that Patroni shows", host, parts.port or 443, now)
        found = re.search(rf"[@,]{re.escape(host)}:(\d+)", str(chosen.database))
        port = int(found[1]) if found else 5432
        yield _shown("certificate that PostgreSQL shows", host, port, now, is_postgres=True)


def _shown(name: str, host: str, port: int, now: int, *, is_postgres: bool = False) -> Check:
    try:
        return _end(name, shown_end(host, port, is_postgres=is_postgres), now)
    except (OSError, ValueError) as error:
        return Check(name, ok=False, found=str(error), advice=f"systemctl status {DATABASE}")


def shown_end(host: str, port: int, *, is_postgres: bool = False) -> int:
    """When the certificate ends that a server shows, in ms since 1970; it is not verified.

    Raises:
        OSError: it does not answer, or not with TLS.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, port), TIMEOUT_S) as plain:
        if is_postgres:
            plain.sendall(SSL_REQUEST)
            if plain.recv(1) != b"S":
                raise OSError(f"{host}:{port} does not speak TLS")
        with context.wrap_socket(plain) as peer:
            return certificate.not_after(peer.getpeercert(binary_form=True) or b"")


def _end(name: str, at: int, now: int) -> Check:
    left = at - now
    day = (rfc3339(at) or "")[:10]
    found = f"until {day}, {left // DAY_MS} days" if left > 0 else f"ended on {day}"
    return Check(name, left > alerts.CERTIFICATE_S * 1000, found, SITE)
