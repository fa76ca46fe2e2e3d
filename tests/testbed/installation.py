"""A fresh virtual environment, as a newcomer has one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
UV = str(Path(sys.executable).with_name("uv"))
"""Installs what pip does, by the same metadata, and takes a fifth of its time."""


class Installation:
    """A fresh virtual environment with what was installed into it.

    Args:
        folder: Where it is made.
        environment: What its programs are run with: nothing of this session's.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = {**environment, "HOME": str(folder), "BOTDOCK_HOME": str(folder / "state")}
        self.run(UV, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder))

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / "bin" / name)

    def run(self, *command: str, exit_code: int = 0, folder: Path | None = None) -> str:
        """Run a command in a folder that is not the repository, and return its stdout."""
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command, cwd=folder or self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == exit_code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def pip(self, command: str, *arguments: str) -> str:
        """Install, list or check packages, and return what is printed."""
        return self.run(UV, "pip", command, "--python", self.program("python"), *arguments)

    def install(self, *requirements: str) -> None:
        """Install packages, pinned as everything here."""
        pins = ("--constraint", str(CONSTRAINTS), "--build-constraint", str(CONSTRAINTS))
        self.pip("install", "--quiet", "--compile-bytecode", *pins, *requirements)

    def python(self, source: str) -> str:
        """Run a few lines of Python."""
        return self.run(self.program("python"), "-c", source)

    def check_types(self, *code: Path, exit_code: int = 0) -> str:
        """Check code with mypy as a third party would, and return what it says."""
        config, cache = self.folder / "mypy.ini", self.folder / "mypy"
        config.write_text("[mypy]\n")
        mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file", str(config), "--cache-dir", str(cache))
        return self.run(*mypy, "--python-executable", self.program("python"), *map(str, code), exit_code=exit_code)
