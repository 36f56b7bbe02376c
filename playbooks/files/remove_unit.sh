# Stops the unit $1 by all means and leaves no trace of it. Says "removed" if there was one.
set -eu
unit=$1
[ -e "/etc/systemd/system/$unit" ] || exit 0
systemctl disable --now "$unit" || systemctl kill --signal=KILL "$unit" || true
rm -f "/etc/systemd/system/$unit"
systemctl daemon-reload
systemctl stop "$unit" 2>/dev/null || true
systemctl reset-failed "$unit" 2>/dev/null || true
if systemctl is-active --quiet "$unit"; then
    echo "$unit was told to stop and still runs: look at systemctl status $unit, end it, run this again" >&2
    exit 1
fi
echo removed
