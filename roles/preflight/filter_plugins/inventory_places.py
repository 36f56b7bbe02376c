"""Find where in an inventory's files each key and value stands.

Ansible's own variables have no line numbers, and an error message without the file and the line
makes its reader search. Reads YAML and INI sources with their group_vars and host_vars; what it
cannot parse (scripts, plugins) simply has no places.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

IGNORED_SUFFIXES = {".pyc", ".cfg", ".retry", ".orig", ".bak", ".token", ".j2", ".md"}
Place = dict[str, Any]
"""`file` (a short path), `line` (from 1), `keys` (the way to it) and `value` (or None)."""


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


def role_variables(roles: str) -> list[str]:
    """Return the names of all variables that the roles' defaults document."""
    names: list[str] = []
    for file in sorted(Path(roles).glob("*/defaults/main.yml")):
        names.extend(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    return names


def _files(source: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Give each file of a source with the keys that its own place in the tree stands for."""
    folder = source if source.is_dir() else source.parent
    tops = sorted(source.iterdir()) if source.is_dir() else [source]
    for file in tops:
        if (
            file.is_file()
            and file.suffix not in IGNORED_SUFFIXES
            and not file.name.startswith(".")
        ):
            yield file, ()
    for kind in ("group_vars", "host_vars"):
        for file in sorted((folder / kind).rglob("*")):
            if file.is_file() and file.suffix in {"", ".yml", ".yaml", ".json"}:
                top = file.relative_to(folder / kind).parts[0]
                owner = top if (folder / kind / top).is_dir() else Path(top).stem
                yield file, (kind, owner)


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
        return list(_walk(root, name, prefix)) if root else []
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
        yield _place(file, node.start_mark.line, keys, str(node.value))


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
    return {"file": file, "line": line + 1, "keys": list(keys), "value": value}


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
        return {"inventory_places": inventory_places, "role_variables": role_variables}
