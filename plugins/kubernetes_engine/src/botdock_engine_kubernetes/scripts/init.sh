# The first process of a bot's container. $1 open files, $2 bytes of a file, $3 processes; then the command.
ulimit -c 0
ulimit -n "$1"
ulimit -f "$(($2 / 512))"
ulimit -u "$3" 2>/dev/null || ulimit -p "$3"
shift 3
for name in $(env | sed -n 's/^\(KUBERNETES_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done
trap 'kill -TERM -1' TERM
"$@" &
bot=$!
while :; do
    wait "$bot"
    code=$?
    kill -0 "$bot" 2>/dev/null || break
done
exit "$code"
