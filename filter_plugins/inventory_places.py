"""Find where in an inventory's files each key and value stands.

Ansible's own variables have no line numbers, and an error message without the file and the line
makes its reader search. Reads YAML and INI sources with their group_vars and host_vars; what it
cannot read (programs, plugins, whole files under Ansible Vault) simply has no places.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible import constants
from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
ENDINGS_WITHOUT_HOSTS = (".token", ".j2")
"""In addition to those that Ansible itself ignores in an inventory's folder."""
YAML_SUFFIXES = {".yml", ".yaml", ".json"}
Place = dict[str, Any]
"""`file` (a short path), `line` (from 1), `keys` (the way to it), `value` (or None), and `sets`:
the variable of a group or host that is set here (or None)."""


def inventory_places(sources: Iterable[str]) -> list[Place]:
    """Return every key and every scalar of the inventory's files, in file order."""
    places: list[Place] = []
    seen: set[Path] = set()
    for source in map(Path, sources):
        for file, prefix in _files(source):
            if file.resolve() not in seen:
                seen.add(file.resolve())
                places.extend(_read(file, prefix))
    return places


def role_variables(roles: str) -> dict[str, dict[str, Any]]:
    """Return all variables of the roles, each with what its argument spec says of it."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(Path(roles).glob("*/meta/argument_specs.yml")):
        specs = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        found.update(specs["argument_specs"]["main"]["options"])
    return found


def hosts_to_check(sources: Sequence[str], groups: Mapping[str, Any]) -> str:
    """Return the hosts of the preflight play, once all files of the inventory could be read.

    Ansible carries on without a hosts file that is not YAML, and does not name a vars file that is
    not. It evaluates `hosts:` before it reads any vars file, so this is the place to say it.

    Raises:
        AnsibleFilterError: names each file and line.
    """
    broken = [f"- {sentence}" for sentence in [*not_yaml(sources), *not_read(sources)]]
    if broken:
        raise AnsibleFilterError("\n".join(["these files have to be mended:", *broken]))
    if constants.CONFIG_FILE is None:
        Display().warning(
            f"{ROOT}/ansible.cfg is not in use. All works without it, slower and with output that "
            f"is harder to read; export ANSIBLE_CONFIG={ROOT}/ansible.cfg"
        )
    if _missing(sources):
        of_fleet("all", groups, sources)
    return "all" if groups.get("all") else "localhost"


def of_fleet(pattern: str, groups: Mapping[str, Any], sources: Sequence[str]) -> str:
    """Return the pattern, for `hosts:` of a playbook's first play.

    Ansible skips a play without hosts and reports success. So a playbook that was given no
    inventory, or another project's, would find nothing wrong.

    Raises:
        AnsibleFilterError: there is no fleet.
    """
    if groups.get("hub") or groups.get("nodes"):
        return pattern
    missing = _missing(sources)
    where = f"there is no {missing[0]}" if missing else f"{', '.join(sources)} has none"
    raise AnsibleFilterError(
        f"no host in group 'hub' and none in group 'nodes' ({where}): name your inventory, "
        "such as -i inventory/mine (from another folder with its whole path)"
    )


def _missing(sources: Sequence[str]) -> list[str]:
    return [source for source in sources if "," not in source and not Path(source).exists()]


def not_read(sources: Iterable[str]) -> Iterator[str]:
    """Give a sentence for each hosts file out of which Ansible reads nothing.

    With this project's ansible.cfg Ansible stops at such a file. Without it, Ansible warns and
    leaves out the hosts, which would then be retired from the bus.
    """
    if constants.INVENTORY_ANY_UNPARSED_IS_FAILED:
        return
    for source in map(Path, sources):
        for file, prefix in _files(source):
            if prefix or "plugin:" in file.read_text(encoding="utf-8", errors="replace"):
                continue  # not a hosts file, or one whose plugin asks elsewhere: once is enough
            reader = InventoryManager(loader=DataLoader(), sources=None, parse=False)
            try:
                read = reader.parse_source(str(file))
            except AnsibleError as error:
                read, why = False, f": {error}"
            else:
                why = ", it is neither an inventory in YAML nor one in INI"
            if not read:
                yield f"{_short(file)}: Ansible reads no hosts out of this file{why}"


def not_yaml(sources: Iterable[str]) -> Iterator[str]:
    """Give a sentence for each file of the inventory that should be YAML and is not."""
    for source in map(Path, sources):
        for file, _ in _files(source):
            if file.suffix not in {".yml", ".yaml"}:
                continue
            try:
                yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
            except yaml.MarkedYAMLError as error:
                mark = error.problem_mark or error.context_mark
                line = mark.line + 1 if mark else 1
                yield f"{_short(file)}:{line}: this is not YAML: {error.problem or error.context}"
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                yield f"{_short(file)}:1: this is not YAML: {error}"


def _files(source: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Give each file of a source with the keys that its own place in the tree stands for."""
    if "," in str(source) and not source.exists():
        return  # a list of hosts in place of a file
    folder = source if source.is_dir() else source.parent
    tops = sorted(source.iterdir()) if source.is_dir() else [source]
    for file in tops:
        if file.is_file() and not (source.is_dir() and _ignored(file)) and not _is_program(file):
            yield file, ()
    for kind in ("group_vars", "host_vars"):
        for file in sorted((folder / kind).rglob("*")):
            if file.is_file() and file.suffix in {"", *YAML_SUFFIXES}:
                top = file.relative_to(folder / kind).parts[0]
                owner = top if (folder / kind / top).is_dir() else Path(top).stem
                yield file, (kind, owner)


def _ignored(file: Path) -> bool:
    """Tell whether Ansible leaves the file of an inventory's folder alone, or it has no hosts."""
    endings = (*constants.INVENTORY_IGNORE_EXTS, *ENDINGS_WITHOUT_HOSTS)
    return (
        file.name.startswith(".")
        or file.name.endswith(endings)
        or any(re.search(pattern, file.name) for pattern in constants.INVENTORY_IGNORE_PATTERNS)
    )


def _is_program(file: Path) -> bool:
    """Tell whether Ansible runs the file; some mounts make YAML executable, too."""
    try:
        with file.open("rb") as opened:
            if opened.read(2) == b"#!":
                return True
    except OSError:
        return False
    return os.access(file, os.X_OK) and file.suffix not in YAML_SUFFIXES


def _read(file: Path, prefix: tuple[str, ...]) -> list[Place]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    name = _short(file)
    if file.suffix not in {"", ".ini"} or prefix or text.lstrip().startswith("---"):
        try:
            root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError:
            return []
        return list(_walk(root, name, prefix)) if isinstance(root, yaml.MappingNode) else []
    return list(_ini(text, name))


def _walk(node: yaml.Node, file: str, keys: tuple[str, ...]) -> Iterator[Place]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            deeper = (*keys, str(key.value))
            yield _place(file, key.start_mark.line, deeper, None)
            yield from _walk(value, file, deeper)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _walk(item, file, (*keys, str(number)))
    else:
        yield {**_place(file, node.start_mark.line, keys, str(node.value)), "sets": None}


def _ini(text: str, file: str) -> Iterator[Place]:
    """Read `host key=value`, `[group]` and `[group:vars]` well enough to find a name's line."""
    section: tuple[str, ...] = ("ungrouped", "hosts")
    for number, raw in enumerate(text.splitlines()):
        line = raw.split("#")[0].split(";")[0].strip()
        if line.startswith("["):
            group, _, kind = line.strip("[]").partition(":")
            section = (group, kind or "hosts")
        elif section[1] == "vars" and "=" in line:
            key, _, value = line.partition("=")
            yield _place(file, number, (*section, key.strip()), value.strip())
        elif line:
            host, *pairs = line.split()
            yield _place(file, number, (*section, host), None)
            for key, mark, value in (pair.partition("=") for pair in pairs):
                if mark:
                    yield _place(file, number, (*section, host, key), value)


def _place(file: str, line: int, keys: tuple[str, ...], value: str | None) -> Place:
    sets = keys[-1] if len(keys) > 1 and _is_variable(keys) else None
    return {"file": file, "line": line + 1, "keys": list(keys), "value": value, "sets": sets}


def _is_variable(keys: tuple[str, ...]) -> bool:
    """Tell whether the last key names a variable: of a group, of a host or in a vars file."""
    if keys[0] in {"group_vars", "host_vars"}:
        return len(keys) == 3  # noqa: PLR2004 - kind, owner, variable
    if keys[-2] == "vars":
        return True
    return len(keys) > 2 and keys[-3] == "hosts"  # noqa: PLR2004 - hosts, host, variable


def _short(file: Path) -> str:
    """Return the path as an operator in the current folder would write it."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(file)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "inventory_places": inventory_places,
            "role_variables": role_variables,
            "hosts_to_check": hosts_to_check,
            "of_fleet": of_fleet,
        }
