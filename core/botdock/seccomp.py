"""The system calls that a bot may make: an allow-list for engines that filter them, so that no default decides.

It is narrower than Docker's default. What is neither below nor in `_ABSENT` fails with EPERM; that is, on purpose:

- namespaces and mounts (`unshare`, `setns`, `clone` with such flags, `mount`, `fsopen`): the way to most kernel bugs
- other processes' memory and files (`ptrace`, `process_vm_readv`, `pidfd_getfd`, `kcmp`), kernel keys (`keyctl`,
  `add_key`, `request_key`), programs for the kernel (`bpf`, `perf_event_open`), files by handle (`open_by_handle_at`)
- sockets but for Unix's, TCP and UDP, and the routing table that resolvers read: other families (`AF_VSOCK` reaches the
  host past any network, `AF_ALG`, `AF_PACKET` ...) and protocols load kernel modules that no bot needs
- `sync` and `syncfs`: they let the host write what is not the bot's
- system calls of other architectures (32 bit, x32), whose numbers these rules do not read: they kill the bot
"""

from __future__ import annotations

import errno
import socket
from functools import cache
from itertools import product
from typing import Any

__all__ = ["ARCHITECTURES", "allow_list"]

ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
"""What the kernel calls the machines that the rules were made for, and what libseccomp calls them."""
_NEW_NAMESPACES = 0x7E020000
"""The flags of `clone` that make namespaces."""
_INT = 0xFFFF_FFFF
"""The bits of an argument that the kernel reads where it takes an int."""
_SOCKET_TYPE = 0xF
"""The bits of a socket's type beside its flags."""
_ROUTING = 0
"""`NETLINK_ROUTE`."""

_ALLOWED = {
    "files and folders": """
        access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
        fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock
        fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr ioctl lchown
        lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat
        newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
        readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx symlink
        symlinkat sync_file_range tee truncate umask unlink unlinkat utime utimensat utimes write writev
    """,
    "memory": """
        brk madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap mseal
        msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
    """,
    "processes and threads of its own": """
        arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv
        futex_wake get_robust_list getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority
        getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill pidfd_open
        pidfd_send_signal prctl prlimit64 restart_syscall rseq sched_get_priority_max sched_get_priority_min
        sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list set_tid_address setfsgid setfsuid
        setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sysinfo
        tgkill times tkill uname vfork wait4 waitid
    """,
    "to give up rights": "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    "signals": """
        alarm pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_tgsigqueueinfo sigaltstack signalfd signalfd4
    """,
    "time and chance": """
        clock_getres clock_gettime clock_nanosleep getitimer getrandom gettimeofday nanosleep setitimer time
        timer_create timer_delete timer_getoverrun timer_gettime timer_settime
        timerfd_create timerfd_gettime timerfd_settime
    """,
    "waiting for many things": """
        epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 inotify_add_watch
        inotify_init inotify_init1 inotify_rm_watch poll ppoll pselect6 select
    """,
    "between processes of the container": """
        mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2
        semctl semget semop semtimedop shmat shmctl shmdt shmget
    """,
    "sockets, once they are there": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg
        sendto setsockopt shutdown
    """,
}
"""Names by what they are for. One that a machine or its libseccomp lacks is ignored there."""

_ABSENT = {
    "clone: its flags lie in memory, where no rule sees them; libraries then use clone": "clone3",
    "asynchronous I/O past these rules; libuv and others then use threads": """
        io_uring_enter io_uring_register io_uring_setup
    """,
    "asynchronous I/O of which the whole machine has 65,536 requests": """
        io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
    """,
    "page faults that a program answers: they hold the kernel up": "userfaultfd",
    "memory of other nodes, processes and secrets; page caches that are shared": """
        cachestat get_mempolicy mbind memfd_secret migrate_pages move_pages process_madvise process_mrelease
        set_mempolicy set_mempolicy_home_node vmsplice
    """,
    "what is mounted and enforced on the host": """
        listmount lsm_get_self_attr lsm_list_modules lsm_set_self_attr name_to_handle_at statmount
    """,
}
"""What fails with ENOSYS, as in a kernel without it, since libraries try it and then do without."""


@cache
def allow_list() -> dict[str, Any]:
    """Return the filter in the form that Docker's profiles and the OCI runtime specification share, but architectures.

    What it returns is shared, and so not to be changed.
    """
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "syscalls": [
            *(_rule(names, comment=reason) for reason, names in _ALLOWED.items()),
            *(
                _rule(names, comment=reason, action="SCMP_ACT_ERRNO", errnoRet=errno.ENOSYS)
                for reason, names in _ABSENT.items()
            ),
            _rule("clone", (0, _NEW_NAMESPACES, 0), comment="processes and threads, in the namespaces there are"),
            *(_rule("personality", (0, _INT, persona), comment="the usual one") for persona in (0, _INT)),
            *_sockets(),
        ],
    }


def _sockets() -> list[dict[str, Any]]:
    internet = product(
        (socket.AF_INET, socket.AF_INET6),
        (socket.SOCK_STREAM, socket.SOCK_DGRAM),
        (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP),
    )
    return [
        _rule("socket socketpair", (0, _INT, socket.AF_UNIX), comment="within the container"),
        _rule("socket", (0, _INT, socket.AF_NETLINK), (2, _INT, _ROUTING), comment="addresses and interfaces"),
        *(
            _rule("socket", (0, _INT, family), (1, _SOCKET_TYPE, kind), (2, _INT, protocol), comment="TCP and UDP")
            for family, kind, protocol in internet
        ),
    ]


def _rule(
    names: str, *masked: tuple[int, int, int], comment: str, action: str = "SCMP_ACT_ALLOW", **more: int
) -> dict[str, Any]:
    """Return a rule for calls whose arguments, at an index and under a mask, have a value."""
    args = [
        {"index": index, "value": mask, "valueTwo": int(value), "op": "SCMP_CMP_MASKED_EQ"}
        for index, mask, value in masked
    ]
    return {"names": names.split(), "action": action, "args": args, "comment": comment, **more}
