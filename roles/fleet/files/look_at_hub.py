"""Print what a hub that does not answer really is; run on the hub, on its own Python."""

import json
import pathlib
import subprocess

settings = pathlib.Path("/etc/agent-bus/hub.json")
found = {"installed": settings.exists(), "bind": "", "tls": False, "state": "", "words": ""}
if found["installed"]:
    given = json.loads(settings.read_text(encoding="utf-8"))
    found["bind"], found["tls"] = given.get("bind", ""), "tls_certificate_file" in given
for key, command in {
    "state": ["systemctl", "is-active", "agent-bus.service"],
    "words": ["journalctl", "--unit=agent-bus", "--lines=5", "--no-pager", "--output=cat"],
}.items():
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    found[key] = done.stdout.decode(errors="replace").strip()
print(json.dumps(found))
