#!/usr/bin/env bash
# standardwebhooks 1.1.0 (PyPI): `Webhook.sign()` takes the clock face of a datetime as UTC, whatever its tzinfo says.
# A sender that signs with an aware local time and puts the true Unix time into `webhook-timestamp` makes a signature which the
# same library refuses. Naive local times fail the same way. Only an aware UTC time works.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0 2>/dev/null
cat >"$folder/look.py" <<'PY'
import base64
from datetime import datetime, timedelta, timezone
from standardwebhooks import Webhook, WebhookVerificationError

hook = Webhook("whsec_" + base64.b64encode(b"a secret of 24 bytes ...").decode())


def verdict(when):
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": hook.sign("msg_1", when, "{}"),
    }
    try:
        hook.verify("{}", headers)
    except WebhookVerificationError as error:
        return str(error)
    return "verified"


now = datetime.now(timezone.utc).replace(microsecond=0)
seen = {
    "the moment in UTC": verdict(now),
    "the same moment at +02:00": verdict(now.astimezone(timezone(timedelta(hours=2)))),
}
for name, word in seen.items():
    print(f"{name}: {word}")
assert list(seen.values()) == ["verified", "No matching signature found"], "this has changed"
PY
"$folder/venv/bin/python" "$folder/look.py"
echo "as described"
