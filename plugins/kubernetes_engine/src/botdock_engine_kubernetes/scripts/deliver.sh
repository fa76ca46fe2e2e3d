# Unpacks what a run needs. $1: the bot's program, or nothing; $2, $3: where the bot will see program and code.
set -eu
umask 022
cat /botdock/delivery/archive.* | gzip -dc | tar -x -f - -C /botdock -o
user=$(id -u)
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbot:x:%s:%s::/tmp:/bin/sh\n' "$user" "$user" >/botdock/context/passwd
printf 'root:x:0:\nnogroup:x:65534:\nbot:x:%s:\n' "$user" >/botdock/context/group
: >/botdock/results/result
case $1 in
'') ;;
"$2"/*) test -e "/botdock/program/${1#"$2"/}" || { echo "the image has no program $1" >&2; exit 127; } ;;
"$3"/*) test -e "/botdock/code/${1#"$3"/}" || { echo "the image has no program $1" >&2; exit 127; } ;;
*) command -v "$1" >/dev/null || { echo "the image has no program $1" >&2; exit 127; } ;;
esac
