# Tells what a bot's container is held to: lines of a topic and what was seen. In sh, and with what the image has.

try_python() {
    python3 -c '
import errno, os, select, socket, sys, time
waiting = {}
for target in sys.argv[1:]:
    address, port = target.rsplit(":", 1)
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.setblocking(False)
    if made.connect_ex((address, int(port))) in (0, errno.EINPROGRESS):
        waiting[made] = target
end = time.monotonic() + 2
while waiting and (left := end - time.monotonic()) > 0:
    for made in select.select((), list(waiting), (), left)[1]:
        if not made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            print("reached", waiting[made])
        del waiting[made]
' "$@"
}

try_node() {
    node -e '
for (const target of process.argv.slice(1)) {
    const at = target.lastIndexOf(":"), made = require("net").connect(target.slice(at + 1), target.slice(0, at))
    made.on("connect", () => { console.log("reached " + target); made.destroy() }).on("error", () => {})
    setTimeout(() => made.destroy(), 2000)
}' "$@"
}

try_bash() {
    tries=
    for target; do
        bash -c ': 3<>"/dev/tcp/${0%:*}/${0##*:}" && echo "reached $0"' "$target" 2>/dev/null &
        tries="$tries $!"
    done
    sleep 2
    kill $tries 2>/dev/null
}

try_nc() {
    for target; do
        nc -w 2 "${target%:*}" "${target##*:}" </dev/null >/dev/null 2>&1 && echo "reached $target" &
    done
    wait
}

# What every cluster has: the API server's address, the node, as the way out, and the name server.
targets=$BOTDOCK_TARGETS
environment=
[ ! -r /proc/1/environ ] || IFS= read -r environment </proc/1/environ
case $environment in
*KUBERNETES_SERVICE_HOST=*)
    address=${environment#*KUBERNETES_SERVICE_HOST=}
    targets="$targets ${address%%[!0-9a-f.:]*}:443"
    ;;
esac
while read -r _ destination gateway _; do
    if [ "$destination" = 00000000 ] && [ "$gateway" != 00000000 ]; then
        rest=$gateway address=
        while [ -n "$rest" ]; do # in hexadecimal, the last number first
            address=$((0x${rest%"${rest#??}"}))${address:+.$address}
            rest=${rest#??}
        done
        targets="$targets $address:10250 $address:6443 $address:443 $address:22"
    fi
done </proc/net/route
while read -r word address _; do
    case $word in nameserver) targets="$targets $address:53" ;; esac
done </etc/resolv.conf
for tool in python3 node bash nc; do
    if command -v "$tool" >/dev/null; then
        echo "tool $tool"
        try_"${tool%3}" $targets
        break
    fi
done
[ "$1" != network ] || exit 0

printf 'newline \r\n'
for place in / /bot/; do
    if (: >"$place.probe") 2>/dev/null; then echo "written $place"; fi
done
show() {
    [ -r "$2" ] || return 0
    while IFS= read -r line; do echo "$1 $line"; done <"$2"
}
show status /proc/self/status
show mounts /proc/self/mountinfo
show limits /proc/self/limits
show swaps /proc/swaps
show memory /sys/fs/cgroup/memory.max
show memory /sys/fs/cgroup/memory/memory.limit_in_bytes
show swap /sys/fs/cgroup/memory.swap.max
show swap /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes
show cpu /sys/fs/cgroup/cpu.max
show cpu /sys/fs/cgroup/cpu/cpu.cfs_quota_us

# Last, as nothing can be started after it: more processes than the bot may have.
(
    count=0
    while [ $count -lt "$BOTDOCK_PROCESSES" ]; do
        sleep 40 &
        count=$((count + 1))
    done
    echo "forked $count"
) 2>/dev/null
exit 0
