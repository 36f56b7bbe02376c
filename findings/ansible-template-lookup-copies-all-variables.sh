#!/usr/bin/env bash
# ansible-core 2.19.14: `lookup('ansible.builtin.template', ...)` copies all variables of the host, deeply, at each call, though
# the template reads none of them. `lookup('ansible.builtin.file', ...)` beside the same variables costs nothing of that.
# Why it matters: rendering a dozen small files took most of a rollout's time, and more with each variable of the inventory.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ansible-core==2.19.14 2>/dev/null
echo hello >small.j2
cat >play.yml <<'YAML'
- hosts: localhost
  gather_facts: false
  vars_files: [vars.json]
  tasks:
    - ansible.builtin.debug:
        msg: "{% for n in range(20) %}{{ lookup(kind, playbook_dir ~ '/small.j2') }}{% endfor %}"
YAML
cpu() {  # prints the hundredths of a second of CPU that 20 lookups and the start of Ansible take
    python3 - "$@" <<'PY'
import os, subprocess, sys
subprocess.run(["venv/bin/ansible-playbook", "-i", "localhost,", "-c", "local", "play.yml", "-e", f"kind={sys.argv[1]}"],
               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = os.times()
print(round(100 * (used.children_user + used.children_system)))
PY
}
python3 -c 'import json; print(json.dumps({"nobody_reads_this": []}))' >vars.json
none=$(cpu ansible.builtin.template)
python3 -c 'import json; print(json.dumps({"nobody_reads_this": [{"name": f"n{i}", "tags": ["a", "b"]} for i in range(5000)]}))' >vars.json
template=$(cpu ansible.builtin.template)
file=$(cpu ansible.builtin.file)
echo "20 templates without other variables: $none/100 s; beside a list of 5,000 that nobody reads: $template/100 s"
echo "20 files beside that list: $file/100 s"
[ "$template" -gt $((3 * none)) ] && [ "$template" -gt $((3 * file)) ] || { echo "this has changed"; exit 1; }
echo "as described"
