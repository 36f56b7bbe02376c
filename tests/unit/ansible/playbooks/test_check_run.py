"""A run within a run is given all that the outer one was given, and no password is in sight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.paths import ROOT, tool
from playbooks.action_plugins import check_run
from tests.support.patience import patience

PASSWORD = "correct horse battery staple"
VAULT_PASSWORD = "another one"
SUDO = """#!/bin/sh
# what sudo does that wants a password: asks on stderr, reads one line, refuses or runs
prompt= interactive=yes
while :; do
    case $1 in
    -p) prompt=$2; shift 2 ;;
    -u) shift 2 ;;
    -n) interactive=; shift ;;
    -*) shift ;;
    *) break ;;
    esac
done
[ -n "$interactive" ] || { echo "sudo: a password is required" >&2; exit 1; }
printf %s "$prompt" >&2
read -r word
cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>SEEN 2>/dev/null
[ "$word" = "PASSWORD" ] || { echo "Sorry, try again." >&2; exit 1; }
exec "$@"
"""
GIVEN = [
    *("--limit=n1,n2", "--tags=hub", "--tags=nodes", "--skip-tags=slow", "--forks=3"),
    *("--user=me", "--become", "--become-method=su", "--become-user=root", "--timeout=7"),
    *("--private-key=/keys/one", "--connection=local", "--ssh-common-args=-J jump -o X=y"),
    *("--ssh-extra-args=-v", "--sftp-extra-args=-f", "--scp-extra-args=-l 9"),
    *("--extra-vars=a=b c=d", '--extra-vars={"e": [1]}', "--extra-vars=@/a/file.yml"),
    *("--inventory=/one", "--inventory=two,", "--module-path=/a:/b", "--force-handlers"),
]
"""Each option that changes what a run does, once."""


def parsed(words: list[str]) -> dict[str, Any]:
    found = vars(check_run.parser().parse_args([*words, "site.yml"]))
    return {name: value for name, value in found.items() if name not in check_run.NOT_HANDED_ON}


def test_every_option_goes_on_as_it_was_given() -> None:
    given = parsed(GIVEN)
    assert parsed(list(check_run.handed_on(check_run.parser(), given))) == given
    plain = parsed([])
    assert list(check_run.handed_on(check_run.parser(), plain)) == []
    untried = {name for name, value in given.items() if value == plain[name]}
    assert untried <= {"task_timeout", "force_handlers"}, "GIVEN has every option there is"


def written(folder: Path) -> list[str]:
    """Write a fleet of one host that wants a password, and a playbook that checks another."""
    sudo = folder / "sudo"
    text = SUDO.replace("SEEN", str(folder / "seen")).replace("PASSWORD", PASSWORD)
    sudo.write_text(text)
    sudo.chmod(0o755)
    (folder / "become").write_text(f"{PASSWORD}\n")
    (folder / "vault").write_text(f"{VAULT_PASSWORD}\n")
    vaulted = subprocess.run(
        [tool("ansible-vault"), "encrypt_string", "--vault-id", f"dev@{folder / 'vault'}",
         "--encrypt-vault-id", "dev", "--name", "hidden", "--stdin-name", "hidden"],
        input="from the vault", capture_output=True, text=True, check=True, timeout=patience(),
    )  # fmt: skip
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become_exe": str(sudo),
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"box": host}}}))
    (folder / "group_vars").mkdir()
    (folder / "group_vars" / "all.yml").write_text(vaulted.stdout)
    change = {"ansible.builtin.command": "true", "check_mode": False, "changed_when": True}
    told = {
        "name": "It is {{ hidden }}, {{ more | default('no more') }}",
        "become": True,
        **change,
    }
    inner = {"name": "Ask", "hosts": "all", "gather_facts": False, "tasks": [told]}
    (folder / "inner.yml").write_text(json.dumps([inner]))
    plugins = ROOT / "playbooks" / "callback_plugins"
    arguments = {"playbook": str(folder / "inner.yml"), "callback": "drift"}
    arguments |= {"callbacks": str(plugins), "config": str(ROOT / "ansible.cfg")}
    run = {
        "check_run": arguments,
        "delegate_to": "localhost",
        "register": "inner",
        "vars": {"ansible_connection": "local", "ansible_become": False},
    }
    show = {"ansible.builtin.debug": {"msg": "ended {{ inner.rc }}: {{ inner.stdout }}"}}
    outer = {"hosts": "all", "gather_facts": False, "tasks": [run, show]}
    (folder / "outer.yml").write_text(json.dumps([outer]))
    return [
        *(tool("ansible-playbook"), "-i", str(folder / "hosts.yml"), str(folder / "outer.yml")),
        *("--vault-id", f"dev@{folder / 'vault'}"),
    ]


def said_by(command: list[str], **more: str) -> str:
    plugins = str(ROOT / "playbooks" / "action_plugins")
    done = subprocess.run(
        command,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
             "ANSIBLE_ACTION_PLUGINS": plugins, "ANSIBLE_NOCOLOR": "1",
             "ANSIBLE_BECOME_ALLOW_SAME_USER": "1", **more},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=patience(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return " ".join((done.stdout + done.stderr).split())


def test_passwords_go_on_and_nobody_sees_them(tmp_path: Path) -> None:
    command = [*written(tmp_path), "--become-password-file", str(tmp_path / "become")]
    before = set(Path("/tmp").glob("agent-bus-??????*"))
    said = said_by([*command, "--extra-vars", '{"more": "and more"}', "-vvv"])
    assert "ended 0: box: It is from the vault, and more" in said
    seen = (tmp_path / "seen").read_bytes().decode(errors="replace")
    assert "--become-password-file=" in seen, "the inner run was looked at"
    assert PASSWORD not in seen
    assert VAULT_PASSWORD not in seen
    assert PASSWORD not in said
    assert VAULT_PASSWORD not in said
    left = set(Path("/tmp").glob("agent-bus-??????*")) - before
    assert not [folder for folder in left if (folder / "0").exists()]


def test_without_the_password_its_lack_is_told(tmp_path: Path) -> None:
    said = said_by(written(tmp_path))
    assert "ended 2" in said
    assert "a password is required" in said


def test_what_other_callbacks_print_is_no_difference(tmp_path: Path) -> None:
    command = [*written(tmp_path), "--become-password-file", str(tmp_path / "become")]
    said = said_by(command, ANSIBLE_CALLBACKS_ENABLED="ansible.builtin.tree", ANSIBLE_ASK_PASS="0")
    assert "ended 0: box: It is from the vault, no more PLAY RECAP" in said.replace('"', "")


@pytest.mark.parametrize("secret", ["geheim", b"\x00\xffbytes"])
def test_a_secret_can_be_read_more_than_once_until_it_is_forgotten(secret: str | bytes) -> None:
    secrets = check_run.Secrets()
    pipe = secrets.add(secret)
    assert pipe.stat().st_mode & 0o777 == 0o600
    assert pipe.parent.stat().st_mode & 0o777 == 0o700
    content = secret.encode() if isinstance(secret, str) else secret
    assert [pipe.read_bytes(), pipe.read_bytes()] == [content, content]
    secrets.close()
    assert not pipe.parent.exists()
