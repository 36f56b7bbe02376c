"""Ansible module: run a command that changes nothing, and answer what it printed.

Runs on the hosts, on their own Python (3.9 and newer). It is `ansible.builtin.command` without
what takes that one long.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: plain_command
short_description: Run a command that changes nothing, and answer what it printed
description: It also runs in check mode. It fails if the command does.
options:
  argv: {description: The command's words., type: list, elements: str, required: true}
"""

RETURN = r"""
rc: {description: The exit code., type: int}
stdout: {description: What it printed., type: str}
stderr: {description: What it complained about., type: str}
"""


def main() -> None:
    """Run it, answer."""
    module = AnsibleModule(
        argument_spec={"argv": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    words = module.params["argv"]
    code, out, err = module.run_command(words)
    answer = {"rc": code, "stdout": out.rstrip("\r\n"), "stderr": err.rstrip("\r\n"), "cmd": words}
    if code != 0:
        module.fail_json(msg="non-zero return code", **answer)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
