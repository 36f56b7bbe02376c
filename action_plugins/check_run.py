"""Run a playbook in check mode, with everything that this run of ansible-playbook was given.

This is a run within a run. The inner run gets the options of the outer one (`--limit`, `--user`,
`--tags`, `-e` ...) and every password that was typed or read from a file: for sudo, for ssh, for
the vault. Passwords travel through pipes that only this user can open. They are on no command
line, in no log and on no disk.

The names of the inner run's plays are printed as they come; the answer is what differs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from ansible import constants, context
from ansible.cli.playbook import PlaybookCLI
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

NOT_HANDED_ON: Final = frozenset(
    {
        *("help", "version", "args", "verbosity", "step", "start_at_task", "flush_cache"),
        *("check", "diff", "syntax", "listtasks", "listtags", "listhosts"),
        # passwords travel another way
        *("ask_pass", "become_ask_pass", "ask_vault_pass", "vault_ids", "vault_password_files"),
        *("connection_password_file", "become_password_file"),
    }
)
"""Options of ansible-playbook that the inner run gets by other means, or not at all."""
NEVER_ASK: Final = ("ANSIBLE_ASK_PASS", "ANSIBLE_BECOME_ASK_PASS", "ANSIBLE_ASK_VAULT_PASS")
"""Settings that would make the inner run wait for a terminal, which it does not have."""
BETWEEN_READS_S: Final = 0.5
"""Until a pipe can be read again: a reader sees the end of what it read only with no writer."""

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no types
    """What Ansible loads."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the playbook and answer exit code and output."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        secrets = Secrets()
        try:
            words = [
                *(sys.executable, "-m", "ansible", "playbook", given["playbook"]),
                *("--check", "--diff"),
                *handed_on(parser(), context.CLIARGS),
                *self._passwords(secrets),
                *map(str, given.get("arguments") or []),
            ]
            code, out, err = run(words, environment(given))
        finally:
            secrets.close()
        # what a failure means is for the next task to say
        answer = {"changed": False, "failed": False, "rc": code, "stdout": out, "stderr": err}
        return {**result, **answer}

    def _passwords(self, secrets: Secrets) -> Iterator[str]:
        """Give the options that hand the passwords on."""
        if self._play_context.password:
            yield f"--connection-password-file={secrets.add(self._play_context.password)}"
        if self._play_context.become_pass:
            yield f"--become-password-file={secrets.add(self._play_context.become_pass)}"
        for vault_id, secret in self._loader._vault.secrets or []:  # noqa: SLF001 - no other way
            yield f"--vault-id={vault_id}@{secrets.add(secret.bytes)}"


class Secrets:
    """Named pipes that only this user can open: what nobody reads is nowhere.

    Ansible looks its password files up by their real names, so a descriptor will not do.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="agent-bus-"))  # 0700
        self._is_closed = False
        self._pipes: list[Path] = []

    def add(self, secret: str | bytes) -> Path:
        """Return the path by which the child can read the secret."""
        pipe = self._folder / str(len(self._pipes))
        os.mkfifo(pipe, 0o600)
        self._pipes.append(pipe)
        content = secret.encode() if isinstance(secret, str) else secret
        threading.Thread(target=self._serve, args=(pipe, content), daemon=True).start()
        return pipe

    def close(self) -> None:
        """Forget them all."""
        self._is_closed = True
        for pipe in self._pipes:
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # lets the writer go on
        shutil.rmtree(self._folder)

    def _serve(self, pipe: Path, content: bytes) -> None:
        while not self._is_closed:
            with suppress(OSError):  # the reader is gone
                descriptor = os.open(pipe, os.O_WRONLY)
                try:
                    os.write(descriptor, content)
                finally:
                    os.close(descriptor)
            time.sleep(BETWEEN_READS_S)


def parser() -> argparse.ArgumentParser:
    """Return what ansible-playbook reads its command line by."""
    program = PlaybookCLI(["ansible-playbook", "-"])
    program.init_parser()
    found: argparse.ArgumentParser = program.parser
    return found


def handed_on(options: argparse.ArgumentParser, given: Mapping[str, Any]) -> Iterator[str]:
    """Give the words that repeat what was given, for every option that there is."""
    for action in options._actions:  # noqa: SLF001 - argparse lists its options nowhere else
        value = given.get(action.dest)
        if not action.option_strings or action.dest in NOT_HANDED_ON or value == action.default:
            continue
        option = next(one for one in action.option_strings if one.startswith("--"))
        if action.nargs == 0:
            yield from [option] if value else []
        elif isinstance(value, (list, tuple)) and action.dest == "module_path":
            yield f"{option}={os.pathsep.join(map(str, value))}"
        elif isinstance(value, (list, tuple)):
            yield from (f"{option}={one}" for one in value)
        elif value is not None:
            yield f"{option}={value}"


def environment(given: Mapping[str, Any]) -> dict[str, str]:
    """Return this run's environment, with an output that can be read line by line."""
    config = os.environ.get("ANSIBLE_CONFIG") or constants.CONFIG_FILE or given["config"]
    return {
        **os.environ,
        **dict.fromkeys(NEVER_ASK, "false"),
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_STDOUT_CALLBACK": str(given["callback"]),
        "ANSIBLE_CALLBACK_PLUGINS": str(given["callbacks"]),
        "ANSIBLE_CALLBACKS_ENABLED": str(given["callback"]),  # none that prints more than that
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_FORCE_COLOR": "false",
    }


def run(words: list[str], env: dict[str, str]) -> tuple[int, str, str]:
    """Run the command; its stderr is shown as it comes. Answer exit code, stdout and stderr."""
    child = subprocess.Popen(
        words,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    assert child.stdout
    assert child.stderr
    printed: list[str] = []
    reader = threading.Thread(target=_keep, args=(child.stdout, printed), daemon=True)
    reader.start()
    told: list[str] = []
    try:
        for line in child.stderr:
            if line.strip():
                told.append(line)
                display.display(line.rstrip())
    finally:
        if child.poll() is None and sys.exc_info()[0]:
            child.kill()
        code = child.wait()
    reader.join()
    return code, "".join(printed), "".join(told)


def _keep(stream: TextIO, lines: list[str]) -> None:
    lines.extend(stream)
