# Is the first process of a bot's container: it bounds the bot, starts it, tells all its processes of a SIGTERM, reaps
# what it leaves behind, and ends as it did. $1 open files, $2 blocks of 512 bytes of a file, $3 processes, $4... the bot.
#
# What this shell says of a child's death is not the bot's word, so it goes nowhere.
exec 3>&2 2>/dev/null
told=
trap 'told=1; kill -TERM -1' TERM # by the shell itself: where a fork bomb is, no other process can be had
trap told=1 INT # dash would end

# The cluster's address, which each container is given.
set -f
for name in $(export -p); do
    name=${name%%=*}
    case $name in
    *[!A-Z0-9_]*) ;;
    KUBERNETES_*) unset "$name" ;;
    esac
done

# bash and busybox call it -u, dash -p; what is lower already holds.
bound() { ulimit "$1" "$2" || [ "$(ulimit -H "$1")" -le "$2" ]; }
ulimit -c 0
ulimit -l 64
ulimit -i 1024
ulimit -q 819200
bound -n "$1" && bound -f "$2" && { bound -u "$3" || bound -p "$3"; } || {
    echo "botdock: the shell of this image cannot bound open files, the size of files and processes" >&3
    exit 126
}
shift 3

# A shell without job control starts what it does not wait for with these two ignored.
env --default-signal=INT,QUIT true && set -- env --default-signal=INT,QUIT -- "$@"
[ -z "$told" ] || exit 143
"$@" 2>&3 3>&- &
bot=$!
[ -z "$told" ] || kill -TERM -1
while :; do
    told=
    wait "$bot"
    code=$?
    case $told$code in
    1130 | 1143) ;; # a signal has ended this wait, or the bot: the next tells which
    *) exit "$code" ;;
    esac
done
