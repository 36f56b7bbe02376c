"""Ansible module: make this host a member of the fleet's etcd cluster, and drop who has left.

Runs on the hosts, on their own Python (3.9 and newer), as root, on one host at a time. A cluster
that is not there yet is begun by all its members together; one that runs is joined by asking it.
Who was a member and has lost its data joins anew, under a new number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: etcd_member
short_description: Make this host a member of the fleet's etcd cluster
options:
  name: {description: This host., type: str, required: true}
  peers:
    description: The URL of each member for the others, by its name.
    type: dict
    required: true
  clients:
    description: The URL of each member for clients, by its name.
    type: dict
    required: true
  data: {description: Folder of its data., type: path, required: true}
  join: {description: File of the unit's environment to write., type: path, required: true}
  tls: {description: Options of etcdctl for TLS., type: list, elements: str, required: true}
  unit: {description: Its unit., type: str, required: true}
"""

RETURN = r"""
removed: {description: Members that have left., type: list, elements: str}
joined: {description: How it came in. Empty if it was a member already., type: str}
"""

SHORT = ("--dial-timeout=3s", "--command-timeout=5s")


class Cluster:
    """The cluster as one of its members tells it."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._endpoint = ""
        self.members: list[dict[str, Any]] = []

    def ask(self, endpoints: list[str]) -> bool:
        """Find a member that answers and has a majority behind it; tell whether there is one."""
        for endpoint in endpoints:
            code, _, _ = self.run(endpoint, "endpoint", "health")
            if code != 0:
                continue
            code, out, _ = self.run(endpoint, "member", "list", "-w", "json")
            if code == 0:
                self._endpoint = endpoint
                self.members = json.loads(out)["members"]
                return True
        return False

    def run(self, endpoint: str, *words: str) -> tuple[int, str, str]:
        """Run etcdctl against a member."""
        tls = self._module.params["tls"]
        command = ["etcdctl", f"--endpoints={endpoint}", *SHORT, *tls, *words]
        code, out, err = self._module.run_command(
            command, environ_update={"ETCDCTL_API": "3", "LC_ALL": "C"}
        )
        return code, out, err

    def change(self, *words: str) -> None:
        """Add or remove a member."""
        if self._module.check_mode:
            return
        code, out, err = self.run(self._endpoint, "member", *words)
        if code != 0:
            self._module.fail_json(msg=f"etcdctl member {' '.join(words)}: {(err or out).strip()}")
        self.ask([self._endpoint])


def strangers(members: list[dict[str, Any]], peers: dict[str, str]) -> list[dict[str, Any]]:
    """Return the members that the inventory no longer has.

    One that was added and never started has no name yet, so its URL counts, too.
    """
    urls = set(peers.values())
    return [
        member
        for member in members
        if member.get("name") not in peers and not urls & set(member["peerURLs"])
    ]


def own(members: list[dict[str, Any]], name: str, url: str) -> dict[str, Any] | None:
    """Return this host's entry."""
    found = [one for one in members if one.get("name") == name or url in one["peerURLs"]]
    return found[0] if found else None


def initial(members: list[dict[str, Any]], peers: dict[str, str], name: str) -> str:
    """Return the members for ETCD_INITIAL_CLUSTER: those that the cluster has, and this one."""
    names = {url: one for one, url in peers.items()}
    entries = {name: peers[name]}
    for member in members:
        url = member["peerURLs"][0]
        entries[member.get("name") or names.get(url, name)] = url
    return ",".join(f"{one}={url}" for one, url in sorted(entries.items()))


def come_in(module: AnsibleModule, cluster: Cluster) -> tuple[str, str]:
    """Return the state and the members for a first start, after the cluster knows of it."""
    name, peers = module.params["name"], module.params["peers"]
    everyone = ",".join(f"{one}={url}" for one, url in sorted(peers.items()))
    if not cluster.members:
        return "new", everyone
    entry = own(cluster.members, name, peers[name])
    if entry is not None and entry.get("name") and not entry.get("clientURLs"):
        return "new", everyone  # begun together with the others, and never started
    if entry is not None and entry.get("clientURLs"):
        cluster.change("remove", f"{entry['ID']:x}")  # its data is gone, and with it its number
        entry = None
    if entry is None:
        cluster.change("add", name, f"--peer-urls={peers[name]}")
    return "existing", initial(cluster.members, peers, name)


def main() -> None:
    """Come in, start, drop who has left; answer what was done."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "peers": {"type": "dict", "required": True},
            "clients": {"type": "dict", "required": True},
            "data": {"type": "path", "required": True},
            "join": {"type": "path", "required": True},
            "tls": {"type": "list", "elements": "str", "required": True},
            "unit": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    cluster = Cluster(module)
    is_member = Path(given["data"], "member").exists()
    mine = given["clients"][given["name"]]
    others = [url for name, url in given["clients"].items() if name != given["name"]]
    answers = cluster.ask([mine, *others] if is_member else others)
    removed = []
    if answers:
        for member in strangers(cluster.members, given["peers"]):
            cluster.change("remove", f"{member['ID']:x}")
            removed.append(member.get("name") or member["peerURLs"][0])
    joined = ""
    if not is_member:
        joined, members = come_in(module, cluster)
        if not module.check_mode:
            text = f"ETCD_INITIAL_CLUSTER={members}\nETCD_INITIAL_CLUSTER_STATE={joined}\n"
            join = Path(given["join"])
            join.write_text(text, encoding="utf-8")
            join.chmod(0o600)
            # a cluster that is begun has no majority yet: it is waited for later, by all
            wait = [] if joined == "existing" else ["--no-block"]
            module.run_command(["systemctl", "start", *wait, given["unit"]], check_rc=True)
    module.exit_json(changed=bool(joined or removed), removed=removed, joined=joined)


if __name__ == "__main__":
    main()
