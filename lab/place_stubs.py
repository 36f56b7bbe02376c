"""Runs on a host of the lab: where a named program is missing, places one that logs its arguments.

Real machines have the programs that wake agents by command. Containers do not have them, but a
rehearsal should show that the watcher runs them.
"""

import shutil
import sys
from pathlib import Path

STUB = """\
#!/bin/sh
# the lab's stand-in for a program that real machines have
logger --tag "$0" -- "$*"
"""

for name in sys.argv[1:]:
    if shutil.which(name) is None:
        path = Path("/usr/local/bin", name)  # an absolute name stays unchanged
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STUB, encoding="ascii")
        path.chmod(0o755)
        print(path)
