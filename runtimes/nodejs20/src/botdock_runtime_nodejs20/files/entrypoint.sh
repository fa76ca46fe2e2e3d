#!/bin/sh
# Becomes wrapper.cjs, which lies beside this file: the process stays the same, so that signals reach the bot.
case $0 in
*/*) here=${0%/*} ;;
*) here=. ;;
esac
exec node "$here/wrapper.cjs" "$1"
