# Waits until the bot has ended, of which SIGTERM tells, then prints its result: the file `result` of the folder $1, at
# most $2 bytes and one more. Where there is none that can be read, it prints nothing.
tell() {
    cd -- "$1" && [ -f result ] && [ ! -h result ] || exit 1
    chmod u+r result                                # the bot may have done anything to it
    head -c "$(($2 + 1))" result >copy || exit 1    # from here on it does not change
    set -- $(cksum <copy)
    echo "botdock-result 1 $2 $1 gzip"
    gzip -c <copy | base64 -w 16000 || exit 1        # the log cuts lines of 16 KiB
    echo end
    exit 0
}
trap 'tell "$1" "$2"' TERM
sleep 2147483647 >/dev/null 2>&1 &
wait "$!"
exit 1
