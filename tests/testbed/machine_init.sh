# The only program of the emulated machine: it mounts what a boot would, runs pytest, and turns the machine off.
# What it writes goes to the serial console; its last line tells pytest's exit code.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export BOTDOCK_TEST_CACHE=/var/cache/botdock-testbed CI=true # where there is no Docker, tests fail

mounted() { # a type, a folder, options
    mountpoint -q "$2" || { mkdir -p "$2" && mount -t "$1" ${3:+-o "$3"} "$1" "$2"; }
}
mounted proc /proc
mounted sysfs /sys
mounted devtmpfs /dev
mounted devpts /dev/pts
mounted tmpfs /dev/shm mode=1777
mounted tmpfs /run
mounted tmpfs /tmp mode=1777,size=75%
mounted cgroup2 /sys/fs/cgroup

mkdir /sys/fs/cgroup/tests
echo $$ >/sys/fs/cgroup/tests/cgroup.procs
for controller in cpu cpuset io memory pids; do echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control; done
ip link set lo up

cat /usr/*bin/dockerd /usr/*bin/containerd >/dev/null # dockerd gives containerd some seconds, which reading it may take

cd /given/repository || exit
echo "machine: up after $(cut -d ' ' -f 1 /proc/uptime) s"
. /given/tests
echo "machine: pytest ended with $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
