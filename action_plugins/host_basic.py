"""The part of Ansible's module library that this project's modules use, for a host's bare Python.

`action_plugins/on_host.py` sends this text, a module and its arguments to a host, where
`python3 -I -S` runs them all as one program. Ansible's own library is packed, sent and compiled
again for every call, which costs more than what the modules do. Here a module finds
`AnsibleModule` where it imports it from. What it cannot find here fails, and tests run each
module both ways.

Python 3.9 and newer, standard library only, one thread.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import types
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import grp
    import pwd
    from collections.abc import Callable, Mapping, Sequence
else:
    grp = pwd = None  # imported when an owner or a group has a name

MARK = "agent-bus-answer: "
"""What the line with the answer begins with: a login shell may print lines of its own."""
LIBRARY = "ansible.module_utils"
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
TRUE, FALSE = {"yes", "on", "1", "true", "t", "y"}, {"no", "off", "0", "false", "f", "n"}


class AnsibleModule:
    """What a module asks of Ansible, as far as the modules of this project do."""

    given: Mapping[str, Any]
    """The program's arguments: `name`, `arguments` and `check_mode`, among others."""

    def __init__(
        self,
        argument_spec: Mapping[str, Any],
        *,
        supports_check_mode: bool = False,
        required_if: Sequence[tuple[str, object, Sequence[str]]] = (),
    ) -> None:
        """Check the arguments; a module that knows no check mode is skipped in one."""
        self.check_mode = bool(self.given["check_mode"])
        self._secrets: set[str] = set()
        self._tmpdir = ""
        if self.check_mode and not supports_check_mode:
            self.exit_json(skipped=True, changed=False)
        self.params = self._checked(argument_spec, self.given["arguments"], "")
        for name, value, needed in required_if:
            missing = [key for key in needed if self.params[key] is None]
            if self.params[name] == value and missing:
                self.fail_json(msg=f"{name} is {value} but these are missing: {missing}")

    @property
    def tmpdir(self) -> str:
        """A folder for files of this call; it is removed at the end."""
        self._tmpdir = self._tmpdir or tempfile.mkdtemp(prefix="agent-bus-")
        return self._tmpdir

    def exit_json(self, **answer: object) -> NoReturn:
        """Answer, and end the program."""
        self._end(answer, 0)

    def fail_json(self, *, msg: str, **answer: object) -> NoReturn:
        """Answer that it failed, and end the program."""
        self._end({**answer, "failed": True, "msg": msg}, 1)

    def run_command(
        self,
        words: Sequence[str],
        *,
        check_rc: bool = False,
        environ_update: Mapping[str, str] | None = None,
    ) -> tuple[int, str, str]:
        """Run a command; return its exit code and what it printed."""
        try:
            done = subprocess.run(
                [str(word) for word in words],
                env={**os.environ, **(environ_update or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="surrogateescape",
                check=False,
            )
        except OSError as error:
            self.fail_json(msg=str(error), rc=error.errno, cmd=" ".join(words))
        if check_rc and done.returncode:
            msg = done.stderr.rstrip() or done.stdout.rstrip()
            self.fail_json(msg=msg, rc=done.returncode, cmd=" ".join(words))
        return done.returncode, done.stdout, done.stderr

    def load_file_common_arguments(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `set_fs_attributes_if_different` takes."""
        return dict(wanted)

    def set_fs_attributes_if_different(self, wanted: Mapping[str, Any], *, changed: bool) -> bool:
        """Set owner, group and mode, except in check mode; tell whether any of them differed."""
        path, there = wanted["path"], os.lstat(wanted["path"])
        owner, group = self._id_of("owner", wanted), self._id_of("group", wanted)
        mode = None if wanted["mode"] is None else int(str(wanted["mode"]), 8)
        is_link = stat.S_ISLNK(there.st_mode)
        owner = there.st_uid if owner is None else owner
        group = there.st_gid if group is None else group
        if (owner, group) != (there.st_uid, there.st_gid):
            changed = True
            if not self.check_mode:
                os.lchown(path, owner, group)
                there = os.lstat(path)  # a change of the owner may have taken setgid away
        if mode is not None and not is_link and mode != stat.S_IMODE(there.st_mode):
            changed = True
            if not self.check_mode:
                os.chmod(path, mode)  # noqa: PTH101 - it is a text, as in Ansible
        return changed

    def atomic_move(self, source: str, target: str) -> None:
        """Put a file into another's place, with that one's owner and mode.

        It is written anew beside its place. So it gets the place's label where SELinux counts.
        """
        folder, name = os.path.split(target)
        descriptor, new = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        os.close(descriptor)
        shutil.copyfile(source, new)
        like = os.stat(target if os.path.exists(target) else source)  # noqa: PTH110, PTH116 - as above
        os.chown(new, like.st_uid, like.st_gid)
        os.chmod(new, stat.S_IMODE(like.st_mode))  # noqa: PTH101 - as above
        os.replace(new, target)  # noqa: PTH105 - as above
        os.unlink(source)  # noqa: PTH108 - as above

    def _id_of(self, kind: str, wanted: Mapping[str, Any]) -> int | None:
        name = wanted[kind]
        if name is None or str(name).isdigit():
            return None if name is None else int(name)
        try:
            if kind == "owner":
                import pwd

                return pwd.getpwnam(name).pw_uid
            import grp

            return grp.getgrnam(name).gr_gid
        except KeyError:
            verb = {"owner": "chown failed: failed to look up user"}
            says = verb.get(kind, "chgrp failed: failed to look up group")
            self.fail_json(msg=f"{says} {name}", path=wanted["path"])

    def _checked(
        self, spec: Mapping[str, Any], given: Mapping[str, Any], inside: str
    ) -> dict[str, Any]:
        """Return every parameter of the spec, in its type."""
        if strange := sorted({*given} - {*spec}):
            what = inside or self.given["name"]
            self.fail_json(msg=f"Unsupported parameters for {what}: {strange}")
        checked = {}
        for name, rule in spec.items():
            value = given.get(name)
            value = rule.get("default") if value is None else value
            if value is None and rule.get("required"):
                self.fail_json(msg=f"missing required arguments: {name}{inside}")
            checked[name] = None if value is None else self._typed(name, value, rule)
            if rule.get("no_log") and checked[name]:
                self._secrets.add(str(checked[name]))
        return checked

    def _typed(self, name: str, value: Any, rule: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        kind = rule.get("type", "str")
        try:
            if kind == "list":
                items = value if isinstance(value, list) else str(value).split(",")
                return [
                    self._typed(name, item, {**rule, "type": rule["elements"]}) for item in items
                ]
            if kind == "dict" and "options" not in rule:
                return dict(value)
            if kind == "dict":
                return self._checked(rule["options"], value, f" found in {name}")
            typed = TYPES[kind](value)
        except (TypeError, ValueError, AttributeError):
            self.fail_json(msg=f"argument {name} is {value!r}, which cannot be a {kind}")
        if "choices" in rule and typed not in rule["choices"]:
            self.fail_json(msg=f"value of {name} must be one of {rule['choices']}, got: {typed}")
        return typed

    def _end(self, answer: Mapping[str, object], code: int) -> NoReturn:
        if self._tmpdir:
            shutil.rmtree(self._tmpdir, ignore_errors=True)
        sys.stdout.write(f"\n{MARK}{json.dumps(self._without_secrets(answer))}\n")
        sys.stdout.flush()
        sys.exit(code)

    def _without_secrets(self, said: object) -> object:
        if isinstance(said, dict):
            return {key: self._without_secrets(value) for key, value in said.items()}
        if isinstance(said, (list, tuple)):
            return [self._without_secrets(value) for value in said]
        if isinstance(said, str):
            for secret in self._secrets:
                said = said.replace(secret, HIDDEN if said == secret else "********")
        return said


def _path(value: object) -> str:
    return os.path.expanduser(os.path.expandvars(str(value)))  # noqa: PTH111 - it stays a text


def _truth(value: object) -> bool:
    word = str(value).lower()
    if word not in TRUE | FALSE:
        raise ValueError(word)
    return word in TRUE


TYPES: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "path": _path,
    "int": int,
    "bool": _truth,
}


class Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports what was sent along, by its full name."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Take the text of each module; an empty one is a package."""
        self._sources = sources

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:  # noqa: ANN401, ARG002 - importlib's
        """Return how to load a module that was sent."""
        if name in self._sources:
            return importlib.util.spec_from_loader(name, self)
        return None

    def is_package(self, fullname: str) -> bool:
        """Tell whether it was sent to hold others only."""
        return not self._sources[fullname]

    def get_source(self, fullname: str) -> str:
        """Return its text."""
        return self._sources[fullname]


def run(program: str) -> None:
    """Run a module: JSON with `name`, `source`, `more` (what it imports), and its arguments."""
    given = json.loads(program)
    AnsibleModule.given = given
    basic = types.ModuleType(f"{LIBRARY}.basic")
    basic.AnsibleModule = AnsibleModule  # type: ignore[attr-defined]
    sys.modules[basic.__name__] = basic
    more = {f"{LIBRARY}.{name}": text for name, text in given["more"].items()}
    sys.meta_path.insert(0, Sources({"ansible": "", LIBRARY: "", **more}))
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(given["source"], f"{given['name']}.py", "exec"), main.__dict__)  # noqa: S102 - our own module
