#!/usr/bin/python3
"""Ansible module: put a list of files, folders and links into place in one call.

Runs on the hosts, on their own Python (3.9 and newer), once per call and single-threaded. The
core modules take one call, often two, for each file; over a fleet that is most of a rollout's
time (docs/decisions/0012-one-call-for-many-files.md).
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Put files, folders and links into place, all in one call
description:
  - Entries are handled in the given order, so a folder stands before what goes into it.
  - Files are replaced atomically. Check mode and diff are supported.
options:
  files:
    description: What shall be there.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Absolute path., type: path, required: true}
      state:
        description: The kind of thing.
        type: str
        choices: [file, directory, link, absent]
        default: file
      content: {description: The whole text of a file., type: str}
      target: {description: What a link points to., type: str}
      owner: {description: Name of the owner; the user who runs the module if left out., type: str}
      group: {description: Name of the group; that user's own if left out., type: str}
      mode: {description: Mode as a quoted octal number., type: str}
      validate:
        description: Command that must accept a new file before it is put in place; %s is its path.
        type: str
      secret: {description: Leave the content out of the diff., type: bool, default: false}
"""

RETURN = r"""
paths:
  description: The paths that were changed, or would be in check mode.
  type: list
  elements: str
"""

import os
import shlex
import shutil
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

ENTRY = {
    "path": {"type": "path", "required": True},
    "state": {"choices": ["file", "directory", "link", "absent"], "default": "file"},
    "content": {"type": "str", "no_log": False},
    "target": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
    "validate": {"type": "str"},
    "secret": {"type": "bool", "default": False},
}


def place(module: AnsibleModule, entry: dict[str, Any]) -> dict[str, str] | None:
    """Make one entry true; return what differed, in the form of a diff, or None."""
    path = entry["path"]
    if entry["state"] == "absent":
        return _remove(module, path)
    if entry["state"] == "link":
        return _link(module, path, entry["target"])
    if entry["state"] == "directory":
        difference = _make_directory(module, path)
    else:
        difference = _write(module, entry)
    if os.path.lexists(path) and _attributes(module, entry, path) and difference is None:
        return _differs(path, "", "(owner, group or mode)\n")
    return difference


def _differs(path: str, before: str, after: str) -> dict[str, str]:
    return {"before": before, "after": after, "before_header": path, "after_header": path}


def _attributes(module: AnsibleModule, entry: dict[str, Any], path: str) -> bool:
    wanted = {
        "path": path,
        "owner": entry["owner"] or str(os.geteuid()),
        "group": entry["group"] or str(os.getegid()),
        "mode": entry["mode"],
    }
    arguments = module.load_file_common_arguments(wanted)
    return bool(module.set_fs_attributes_if_different(arguments, False))


def _remove(module: AnsibleModule, path: str) -> dict[str, str] | None:
    if not os.path.lexists(path):
        return None
    if not module.check_mode:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    return _differs(path, "(present)\n", "")


def _link(module: AnsibleModule, path: str, target: str) -> dict[str, str] | None:
    before = os.readlink(path) if os.path.islink(path) else ""
    if before == target:
        return None
    if not module.check_mode:
        temporary = f"{path}.new"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(target, temporary)
        os.replace(temporary, path)
    return _differs(path, f"{before}\n" if before else "", f"{target}\n")


def _make_directory(module: AnsibleModule, path: str) -> dict[str, str] | None:
    if os.path.isdir(path):
        return None
    if not module.check_mode:
        os.makedirs(path)
    return _differs(path, "", "(folder)\n")


def _write(module: AnsibleModule, entry: dict[str, Any]) -> dict[str, str] | None:
    path, text = entry["path"], entry["content"] or ""
    try:
        with open(path, encoding="utf-8") as file:
            before = file.read()
    except (OSError, UnicodeDecodeError):
        before = ""
    if before == text and os.path.exists(path):
        return None
    if not module.check_mode:
        _replace(module, entry, text)
    if entry["secret"]:
        return _differs(path, "", "(secret)\n")
    return _differs(path, before, text)


def _replace(module: AnsibleModule, entry: dict[str, Any], text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if entry["validate"]:
        command = [
            temporary if word == "%s" else word for word in shlex.split(entry["validate"])
        ]
        code, out, err = module.run_command(command)
        if code != 0:
            os.unlink(temporary)
            module.fail_json(
                msg=f"{entry['path']} was left as it is: the new one is not valid.\n{out}{err}"
            )
    _attributes(module, entry, temporary)
    module.atomic_move(temporary, entry["path"])


def main() -> None:
    """Handle all entries and answer which paths changed."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": ENTRY,
            }
        },
        supports_check_mode=True,
    )
    differences = []
    for entry in module.params["files"]:
        difference = place(module, entry)
        if difference is not None:
            differences.append(difference)
    module.exit_json(
        changed=bool(differences),
        paths=[difference["after_header"] for difference in differences],
        diff=differences,
    )


if __name__ == "__main__":
    main()
