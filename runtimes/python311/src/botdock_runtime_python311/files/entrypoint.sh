#!/bin/sh
# Becomes wrapper.py, which lies beside this file: the process stays the same, so that signals reach the bot.
case $0 in
*/*) here=${0%/*} ;;
*) here=. ;;
esac
# What the interpreter reads as it starts: variables, which are data that no shell reads as its source.
if [ -f "$1/startup" ]; then
    set -- "$1" HOME
    while IFS= read -r line; do
        case $line in
        =*) set -- "$1" "$2
${line#=}" ;;
        *)
            command export "$2"
            set -- "$1" "$line"
            ;;
        esac
    done <"$1/startup"
    command export "$2"
fi 2>/dev/null
for python in PROGRAMS; do
    if command -v "$python" >/dev/null 2>&1; then
        exec "$python" "$here/wrapper.py" "$1"
    fi
done
echo "botdock: PATH ($PATH) has none of: PROGRAMS" >&2
exit 127
