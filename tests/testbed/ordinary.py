"""Commands run as an ordinary user of the machine, who can read Python and this repository wherever they lie."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

USER = 4_321_001
"""Of no other user."""
ROOT = Path(__file__).parents[2]
_SEARCH = stat.S_IXOTH


@attrs.frozen
class OrdinaryUser:
    """A user without a name, rights or a home but one folder.

    Attributes:
        home: That folder.
        hidden: What is mounted on this machine, and not for this user.
        group: The cgroup that its commands run in; empty for that of the tests.
    """

    home: Path
    hidden: Sequence[str] = ()
    group: str = ""

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command with nothing of this session's environment."""
        path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
        environment = {"PATH": path, "HOME": str(self.home), **variables}
        steps = [*(f"umount {shlex.quote(place)}" for place in self.hidden), *_openings([ROOT, Path(sys.base_prefix)])]
        if self.group:
            steps.append(f"echo $$ >{self.group}/cgroup.procs")
        become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]
        script = "\n".join(["set -e", *steps, f"cd {self.home}", f"exec {shlex.join(become)}"])
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], env=environment, capture_output=True, text=True, check=False
        )

    def write(self, name: str, text: str) -> Path:
        """Write a file of this user's."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for each in (path, *path.parents):
            if each.is_relative_to(self.home):
                os.chown(each, USER, USER)
        return path


@contextmanager
def ordinary_user(hidden: Sequence[str] = ()) -> Iterator[OrdinaryUser]:
    """Give a user, whose folder is removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="botdock-user-"))
    try:
        os.chown(home, USER, USER)
        yield OrdinaryUser(home, hidden)
    finally:
        shutil.rmtree(home)


@contextmanager
def delegated_group() -> Iterator[str]:
    """Give an ordinary user a group of cgroup v2, as systemd does, and give back one below it, to run commands in."""
    given = Path("/sys/fs/cgroup/given")
    inner = given / "user.scope"
    inner.mkdir(parents=True)
    try:
        (given / "cgroup.subtree_control").write_text("+cpu +memory +pids")
        for folder in (given, inner):
            for path in (folder, *(folder / name for name in ("cgroup.procs", "cgroup.subtree_control"))):
                os.chown(path, USER, USER)
        yield str(inner)
    finally:
        for folder in (*(given / "botdock").glob("*/"), given / "botdock", inner, given):
            if folder.is_dir():
                folder.rmdir()


def _openings(wanted: Sequence[Path]) -> Iterator[str]:
    """Yield shell commands by which others can reach folders, in a mount namespace of their own.

    A folder on the way that others cannot search is replaced by one that holds nothing but what is wanted.
    """
    closed: dict[Path, list[Path]] = {}
    for path in map(Path.resolve, wanted):
        barred = [each for each in reversed(path.parents) if not each.stat().st_mode & _SEARCH]
        if barred:
            closed.setdefault(barred[0], []).append(path)
    for folder, paths in closed.items():
        yield "kept=$(mktemp -d)"
        yield 'mount -t tmpfs -o mode=755 tmpfs "$kept"'
        for number, path in enumerate(paths):
            yield f'mkdir "$kept/{number}" && mount --bind {shlex.quote(str(path))} "$kept/{number}"'
        yield f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(folder))}"
        for number, path in enumerate(paths):
            quoted = shlex.quote(str(path))
            yield f'mkdir -p {quoted} && mount --bind "$kept/{number}" {quoted}'
