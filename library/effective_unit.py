"""Ansible module: make sure that systemd runs a unit as it was written.

Runs on the hosts, on their own Python (3.9 and newer). A unit can be right and still not work:
because of somebody else's drop-in, of a unit with the same name in a stronger folder, or of a
mask. `systemctl show` does not print every setting ("[unprintable]"), so it only says which files
count. This module reads what they set, by systemd's rules.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DOCUMENTATION = r"""
module: effective_unit
short_description: Make sure that systemd runs a unit as it was written
description:
  - Lets systemd check the unit's file and read it again, and compares what systemd would start.
  - Fails with the file that differs and what to do about it. Changes no file.
options:
  path: {description: The unit's file below /etc/systemd/system., type: path, required: true}
  verify: {description: Have systemd-analyze look for mistakes in it., type: bool, default: true}
"""

RETURN = r"""
dropins: {description: The drop-ins of the unit which change it., type: list, elements: str}
"""

ALONE = ("Type", "NotifyAccess", "User")
"""Settings with one value: the last one counts."""
LISTS = (
    "ExecStart",
    "LoadCredential",
    "Environment",
    "SupplementaryGroups",
    "StateDirectory",
    "ReadWritePaths",
)
"""Settings that add up; an empty one removes what was there before. More than ours is no fault."""
NESTING = (
    "Container images of LXC and Incus bring such a file for all services. Give the container "
    "nesting (Incus: security.nesting=true, Proxmox: features nesting=1). "
)


class Setting(NamedTuple):
    """One line of a unit's section [Service]."""

    key: str
    value: str
    file: str


def settings_in(text: str, file: str) -> Iterator[Setting]:
    """Give the settings of the section [Service], in their order."""
    section = ""
    for raw in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            yield Setting(key.strip(), value.strip(), file)


def effective(settings: Iterable[Setting]) -> dict[str, list[str]]:
    """Return the values that count for each key, those of lists in pieces."""
    found: dict[str, list[str]] = {}
    for key, value, _ in settings:
        if not value or key not in LISTS:
            found[key] = []
        if value:
            found.setdefault(key, []).extend(pieces(key, value))
    return found


def pieces(key: str, value: str) -> list[str]:
    """Return what one line of a list adds to it."""
    if key in LISTS and key not in {"ExecStart", "LoadCredential"}:
        return shlex.split(value)
    return [value]


def differences(path: str, files: Sequence[tuple[str, str]]) -> list[str]:
    """Return a sentence for each setting that counts and is not the unit's own.

    Args:
        path: the unit's file.
        files: all files that count, the unit's first, with their texts.
    """
    name = Path(path).name
    settings = [one for file, text in files for one in settings_in(text, file)]
    wanted = effective(one for one in settings if one.file == path)
    have = effective(settings)
    found = []
    for key in (*ALONE, *LISTS):
        ours, now = wanted.get(key, []), have.get(key, [])
        lost = [value for value in ours if value not in now]
        if key == "Environment":
            lost += [value for value in ours if _overridden(value, now)]
        others = (
            [value for value in now if value not in ours] if key in {*ALONE, "ExecStart"} else []
        )
        if not lost and not others:
            continue
        culprit = _culprit(key, path, settings)
        says = f"{culprit} takes {key}={', '.join(lost)} away from {name}"
        if others:
            says = f"{culprit} has {name} run with {key}={', '.join(others)}"
        found.append(f"{says}. {_remedy(key, name, culprit, ours)}")
    return found


def _overridden(value: str, now: Sequence[str]) -> bool:
    name = value.partition("=")[0]
    last = [other for other in now if other.partition("=")[0] == name][-1:]
    return value in now and last != [value]


def _culprit(key: str, path: str, settings: Sequence[Setting]) -> str:
    """Return the file that changed the setting last: one that empties a list, if there is one."""
    others = [one for one in settings if one.key == key and one.file != path]
    emptied = [one for one in others if not one.value] or others
    return emptied[-1].file if emptied else path


def _remedy(key: str, name: str, culprit: str, ours: Sequence[str]) -> str:
    later = (
        "zzzz-agent-bus.conf"
        if Path(culprit).name < "zzzz-agent-bus.conf"
        else "zzzzz-agent-bus.conf"
    )
    lines = "\\n".join(f"{key}={value}" for value in ours)
    hint = NESTING if "lxc" in culprit or not culprit.startswith("/etc/") else ""
    return (
        f"{hint}Remove that line there, or put the setting back by a drop-in of a later name: "
        f"mkdir -p /etc/systemd/system/{name}.d && printf '[Service]\\n{key}=\\n{lines}\\n' "
        f"> /etc/systemd/system/{name}.d/{later}. Then run this again"
    )


def shadowed(path: str, properties: dict[str, str]) -> str:
    """Return what stands before the unit's file, if systemd does not take it; else nothing."""
    name, there = Path(path).name, properties.get("FragmentPath", "")
    if properties.get("LoadState") == "masked":
        return (
            f"{name} is masked by {there or 'a link to /dev/null'}: systemctl unmask {name}; "
            f"systemctl unmask --runtime {name}. Then run this again"
        )
    if properties.get("LoadState") != "loaded":
        why = properties.get("LoadError", "").strip()
        return f"systemd does not load {path} ({properties.get('LoadState')}) {why}".rstrip()
    if there != path:
        return (
            f"systemd takes {there} for {name} and not {path}: remove it (rm {there}; systemctl "
            "daemon-reload). Then run this again"
        )
    return ""


def mistakes(path: str, code: int, printed: str, *, says_which: bool) -> str:
    """Return what systemd-analyze finds wrong with the unit itself; nothing if all is well.

    Args:
        path: the unit's file.
        code: its exit code.
        printed: what it said.
        says_which: whether the exit code is about this unit alone (systemd 250 and newer).
    """
    if says_which:
        return printed if code else ""
    name = Path(path).name
    return "\n".join(
        line for line in printed.splitlines() if line.startswith((f"{path}:", f"{name}:"))
    )


def verified(module: AnsibleModule, path: str) -> str:
    """Have systemd-analyze read the unit; return what is wrong with it.

    The system's other units may have mistakes of their own. systemd before 250 has no option to
    leave them out.
    """
    plain = {"SYSTEMD_COLORS": "0", "SYSTEMD_LOG_COLOR": "0"}
    command = ["systemd-analyze", "verify"]
    code, out, err = module.run_command(
        [*command, "--recursive-errors=no", path], environ_update=plain
    )
    if code and "unrecognized option" in err:
        code, out, err = module.run_command([*command, path], environ_update=plain)
        return mistakes(path, code, out + err, says_which=False)
    return mistakes(path, code, out + err, says_which=True)


def shown(module: AnsibleModule, name: str) -> dict[str, str]:
    """Return what systemd says of the unit's files."""
    wanted = "LoadState,LoadError,FragmentPath,DropInPaths,NeedDaemonReload"
    _, out, _ = module.run_command(
        ["systemctl", "show", f"--property={wanted}", name], check_rc=True
    )
    pairs = (line.partition("=") for line in out.splitlines())
    return {key: value for key, _, value in pairs}


def main() -> None:
    """Compare, and fail with what differs."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "verify": {"type": "bool", "default": True},
        },
    )
    path = module.params["path"]
    name = Path(path).name
    if module.params["verify"]:
        wrong = verified(module, path)
        if wrong:
            module.fail_json(msg=f"{path} is not valid to this host's systemd:\n{wrong.strip()}")
    properties = shown(module, name)
    if module.params["verify"] or properties.get("NeedDaemonReload") == "yes":
        module.run_command(["systemctl", "daemon-reload"], check_rc=True)
        properties = shown(module, name)
    before = shadowed(path, properties)
    if before:
        module.fail_json(msg=before)
    dropins = shlex.split(properties.get("DropInPaths", ""))
    files = [(file, Path(file).read_text(encoding="utf-8")) for file in (path, *dropins)]
    found = differences(path, files)
    if found:
        module.fail_json(msg="\n".join(found))
    module.exit_json(changed=False, dropins=dropins)


if __name__ == "__main__":
    main()
