"""What a bot sees of the machine through its environment: the programs, and a folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for first; the PATH of Debian's images."""


def basic_environment(interpreters: Iterable[str], *, home: Path, temp: Path) -> Mapping[str, str]:
    """Return what every bot gets beside its own variables; nothing of the host's environment but where programs are."""
    return {
        "PATH": os.pathsep.join(search_path(interpreters)),
        "HOME": str(home),
        "TMPDIR": str(temp),
        "LANG": "C.UTF-8",
    }


def search_path(interpreters: Iterable[str]) -> tuple[str, ...]:
    """Return the system's folders, and after them those in which an interpreter was found that they lack."""
    folders = dict.fromkeys(SYSTEM_PATH)
    for name in interpreters:
        if found := find_interpreter(name):
            folders.setdefault(str(Path(found).parent))
    return tuple(folders)


def find_interpreter(name: str) -> str | None:
    """Return where a program is: among the system's, on our own PATH, or beside the Python that runs us."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    beside_python = [str(Path(sys.executable).resolve().parent)] if sys.executable else []
    return shutil.which(name, path=os.pathsep.join([*SYSTEM_PATH, *filter(None, own), *beside_python]))


def missing_interpreters(interpreters: Iterable[str]) -> tuple[str, ...]:
    """Return the names, any one of which would do, when none is to be found; nothing when one is."""
    names = tuple(interpreters)
    return () if any(map(find_interpreter, names)) else names
