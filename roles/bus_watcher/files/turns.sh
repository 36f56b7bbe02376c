# What was made for agents with a waker that takes turns, or with a token of their own, and is not wanted any longer.
#   turns.sh look USERS AGENTS OWN BARRED   prints a line per thing that is stale:
#                                           `agent NAME`, `user NAME`, `token AGENT`, `node-token USER`
#   turns.sh remove LINES                   removes what it printed, given as one argument
# USERS and AGENTS are those that are wanted, OWN the agents with tokens of their own, BARRED the users that need no
# token of the node any more: in one argument each, with spaces between and around.
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
    for file in /etc/agent-bus/tokens/*; do
        [ -f "$file" ] || continue
        case $4 in *" ${file##*/} "*) ;; *) echo "token ${file##*/}" ;; esac
    done
    for user in $5; do
        [ ! -f "/etc/agent-bus/cli/$user.token" ] || echo "node-token $user"
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
    token)
        rm -f "/etc/agent-bus/tokens/$name"
        echo "removed the own token of $name"
        ;;
    node-token)
        rm -f "/etc/agent-bus/cli/$name.token"
        echo "removed the node's token of $name"
        ;;
    esac
done
systemctl daemon-reload
