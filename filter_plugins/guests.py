"""The guests of a fleet: who is on the bus from a machine that Ansible does not manage."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Guests = dict[str, dict[str, list[str]]]


def guests_of(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> Guests:
    """Return each guest's `agents` and `addresses`, as the first hub's variables have them.

    So they are the same whichever hosts a run is limited to. While only a playbook's syntax is
    checked there are no hostvars yet, and so no guests.
    """
    hubs = [hub for hub in groups.get("hub", []) if hub in hostvars]
    listed = hostvars[hubs[0]].get("guests") if hubs else None
    found: Guests = {}
    for name, said in listed.items() if isinstance(listed, dict) else ():
        entry = said if isinstance(said, dict) else {"agents": said}
        kinds = ("agents", "addresses")
        found[str(name)] = {kind: [str(one) for one in entry.get(kind) or []] for kind in kinds}
    return found


def guest_files(secrets: str) -> list[str]:
    """Return the files with tokens of guests, old ones too; the folder need not be there."""
    return sorted(map(str, Path(secrets, "guests").glob("*.token*")))


def rotating_guests(secrets: str) -> list[str]:
    """Return the guests whose old token counts beside the new one."""
    old = ".token.old"
    names = (Path(file).name for file in guest_files(secrets))
    return [name.removesuffix(old) for name in names if name.endswith(old)]


def chosen_guests(guests: Iterable[str], wanted: object) -> list[str]:
    """Return the guests that the operator means.

    Args:
        guests: all names.
        wanted: true or false for all or none, or names: a list, or separated by commas.

    Raises:
        AnsibleFilterError: there is no guest of that name.
    """
    known = list(guests)
    if isinstance(wanted, bool) or str(wanted).lower() in {"true", "yes", "false", "no", ""}:
        return known if str(wanted).lower() in {"true", "yes"} else []
    listed = wanted if isinstance(wanted, list | tuple) else str(wanted).split(",")
    names = [str(name).strip() for name in listed]
    for name in names:
        if name not in known:
            nearly = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {nearly[0]}?" if nearly else f"there are {', '.join(known)}"
            raise AnsibleFilterError(f"rotate_guests: no guest is called {name}; {hint}")
    return names


def guest_words(
    guests: Guests,
    *,
    hubs: Sequence[Mapping[str, Any]],
    secrets: str,
    rotating: Sequence[str],
    shut_out: Sequence[str],
) -> list[str]:
    """Return what the operator has to hand over, line by line: addresses and paths, no token.

    Args:
        guests: what `guests_of` says.
        hubs: what `hub_of` says of each hub.
        secrets: folder of the fleet's secrets.
        rotating: guests whose old token still counts.
        shut_out: guests that the rule for the port lets in only by the operator's own list.
    """
    urls = " or ".join(str(hub["url"]) for hub in hubs)
    authority = next((str(hub["ca"]) for hub in hubs if hub["ca"]), "")
    proof = f"; {authority} proves that it is the bus" if authority else ""
    lines = [f"Guests reach the bus at {urls}{proof}"]
    for name, guest in guests.items():
        file = f"{secrets}/guests/{name}.token"
        words = f"{name} ({', '.join(guest['agents'])}): its token is in {file}"
        if name in rotating:
            words += f". Once it uses this one, delete {file}.old and run site.yml again"
        if name in shut_out:
            words += ". It has no addresses, so only message_bus_firewall_allow can let it in"
        lines.append(words)
    return lines


def shut_out_guests(guests: Guests, variables: Mapping[str, Any]) -> list[str]:
    """Return the guests that the rule for the port has no addresses of, if there is a rule.

    Args:
        guests: what `guests_of` says.
        variables: a hub's.
    """
    guarded = str(variables.get("message_bus_firewall", False)).lower() in {"true", "yes", "1"}
    return [name for name, guest in guests.items() if guarded and not guest["addresses"]]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "guests_of": guests_of,
            "guest_files": guest_files,
            "rotating_guests": rotating_guests,
            "chosen_guests": chosen_guests,
            "shut_out_guests": shut_out_guests,
            "guest_words": guest_words,
        }
