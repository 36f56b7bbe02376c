#!/usr/bin/env bash
# molecule 26.10.0: a test sequence with `verify checks.yml` whose file does not exist runs nothing for that step, warns "Missing
# playbook", and ends with exit code 0.
# Why it matters: a renamed or misspelt file turns a test off for good while CI stays green.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check molecule==26.10.0 ansible-core==2.19.14 2>/dev/null
mkdir -p "$folder/project/molecule/one"
cd "$folder/project"
cat >molecule/one/molecule.yml <<'YML'
---
prerun: false
dependency: {name: galaxy, enabled: false}
driver: {name: default}
ansible:
  executor: {args: {ansible_playbook: [--inventory=localhost,]}}
scenario:
  test_sequence:
    - converge
    - verify checks.yml
YML
cat >molecule/one/converge.yml <<'YML'
---
- name: Converge
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Do something
      ansible.builtin.debug: {msg: done}
YML
export PATH=$folder/venv/bin:$PATH HOME=$folder ANSIBLE_FORCE_COLOR=0 NO_COLOR=1
code=0
molecule test --scenario-name one >log 2>&1 || code=$?
sed 's/\x1b\[[0-9;]*m//g' log | grep -E 'Missing playbook' | tee seen || true
echo "exit code $code"
[ "$code" = 0 ] && [ -s seen ] || { echo "this has changed"; exit 1; }
echo "as described"
