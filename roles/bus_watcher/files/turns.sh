# What was made for agents with a waker that takes turns, and is not wanted any longer.
#   turns.sh look USERS AGENTS      prints a line per stale agent and user: `agent NAME`, `user NAME`
#   turns.sh remove LINES           removes what it printed, given as one argument
# USERS and AGENTS are those that are wanted, in one argument each, with spaces between and around.
set -eu
units=/etc/systemd/system
verb=$1

if [ "$verb" = look ]; then
    for folder in "$units"/agent-bus-turn@*.service.d; do
        [ -f "$folder/agent.conf" ] || continue  # an edit of the operator's, for all agents perhaps
        name=${folder##*/agent-bus-turn@}
        name=${name%.service.d}
        user=$(sed -n 's/^User=//p' "$folder/agent.conf")
        # the user first: its token is removed before what names it, so a run that is cut off is made good
        case $2 in *" $user "*) ;; *) [ -z "$user" ] || echo "user $user" ;; esac
        case $3 in *" $name "*) ;; *) echo "agent $name" ;; esac
    done
    exit 0
fi

echo "$2" | while read -r kind name; do
    case $kind in
    agent)
        systemctl stop "agent-bus-turn@$name.socket" "agent-bus-turn@$name.service" || true
        rm -rf "$units/agent-bus-turn@$name.service.d" "/var/lib/agent-bus-turns/$name" "/run/agent-bus/turns/$name.sock"
        systemctl reset-failed "agent-bus-turn@$name.socket" "agent-bus-turn@$name.service" 2>/dev/null || true
        echo "removed agent $name"
        ;;
    user)
        rm -f "/etc/agent-bus/cli/$name.token"
        gpasswd --delete "$name" agent-bus >/dev/null 2>&1 || true
        echo "removed the token of $name"
        ;;
    esac
done
systemctl daemon-reload
