#!/bin/sh
# Becomes wrapper.py, which lies beside this file: the process stays the same, so that signals reach the bot.
case $0 in
*/*) here=${0%/*} ;;
*) here=. ;;
esac
for python in python3.11 python3; do
    if command -v "$python" >/dev/null 2>&1; then
        exec "$python" "$here/wrapper.py" "$1"
    fi
done
echo "botdock: there is neither python3.11 nor python3 on PATH ($PATH)" >&2
exit 127
