"""Ansible module: have a unit of systemd enabled, and started or restarted, by few calls of it.

Runs on the hosts as root, on their own Python (3.9 and newer). Ansible's own `systemd_service`
does more; packing it takes longer than all that is needed here.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: unit_state
short_description: Have a unit of systemd enabled, and started or restarted
options:
  name: {description: Name of the unit., type: str, required: true}
  state:
    description: C(restarted) always restarts it; C(started) only starts it if it does not run.
    type: str
    choices: [started, restarted]
    required: true
  enabled: {description: Whether it starts at boot is seen to., type: bool, default: false}
  daemon_reload: {description: Have systemd read its units first., type: bool, default: false}
"""

RUNS = {"active", "activating", "reloading"}


def shown(module: AnsibleModule, name: str) -> dict[str, str]:
    """Return the state of the unit, and of its file."""
    wanted = "--property=ActiveState,UnitFileState"
    _, out, _ = module.run_command(["systemctl", "show", wanted, name], check_rc=True)
    pairs = (line.partition("=") for line in out.splitlines())
    return {key: value for key, _, value in pairs}


def do(module: AnsibleModule, verb: str, *names: str) -> None:
    """Have systemd do something; fail with its words."""
    code, out, err = module.run_command(["systemctl", verb, *names])
    if code != 0:
        what = f"{verb} {' '.join(names)}".strip()
        module.fail_json(msg=f"systemd cannot {what}: {(err or out).strip()}", rc=code)


def main() -> None:
    """Look, do what is missing, answer whether anything was."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "restarted"], "required": True},
            "enabled": {"type": "bool", "default": False},
            "daemon_reload": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    name = given["name"]
    if given["daemon_reload"] and not module.check_mode:
        do(module, "daemon-reload")
    found = shown(module, name)
    verbs = []
    if given["enabled"] and found.get("UnitFileState") != "enabled":
        verbs.append("enable")
    if given["state"] == "restarted":
        verbs.append("restart")
    elif found.get("ActiveState") not in RUNS:
        verbs.append("start")
    for verb in verbs if not module.check_mode else ():
        do(module, verb, name)
    module.exit_json(changed=bool(verbs), done=verbs)


if __name__ == "__main__":
    main()
