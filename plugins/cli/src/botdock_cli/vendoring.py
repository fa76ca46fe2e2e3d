"""Installs the packages that code lists beside a copy of it, for `botdock pack --vendor`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from botdock_cli.report import say

if TYPE_CHECKING:
    from botdock.model import Packages, Runtime
    from botdock_cli.session import Session


_STDERR = 2
"""Where an installer says what it does, and shows its progress if that is a terminal; stdout is for what was made."""


class Vendoring:
    """Installs packages beside a copy of the code that lists them.

    Args:
        session: Knows the runtimes and their images.
        runtime: What is to run the code; None for what its manifest or its list of packages says.
        build: Whether packages may be built, which runs their code.
    """

    def __init__(self, session: Session, *, runtime: str | None, build: bool) -> None:
        self._session = session
        self._runtime = runtime
        self._build = build

    @contextmanager
    def copy(self, folder: Path, target: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        """Give a copy of a folder with its packages in it, which goes afterwards, and what is left out of it.

        Args:
            folder: The code.
            target: The archive to be written, which may lie in the folder.

        Raises:
            CodeError: The folder lists no packages, or they cannot be installed.
            ArchiveError: It holds what no archive may.
        """
        from botdock.archive import copy_tree

        runtime, packages, manifest, image = self._chosen(folder)
        with tempfile.TemporaryDirectory(prefix="botdock-vendor-") as place:
            tree = Path(place, "code")
            itself = os.path.relpath(target.parent.resolve() / target.name, folder.resolve())
            report = copy_tree(folder, tree, ignore=True, skip=(packages.folder, itself))
            if (folder / packages.folder).exists():
                say(f"{packages.folder} of {folder} is left out: what {manifest} lists takes its place")
            how = "which may run code of theirs" if self._build else "without running code of theirs"
            say(f"installing what {manifest} lists, for {runtime.name} ({image}), on this machine, {how}")
            _install(packages.command(tree, image, self._build), tree, manifest, packages.hint)
            packages.tidy(tree / packages.folder)
            yield tree, report.left_out

    def _chosen(self, folder: Path) -> tuple[Runtime, Packages, str, str]:
        """Return what is to run the code, how packages are installed for it, which file lists them, and the image."""
        from botdock.errors import CodeError
        from botdock.services import read_manifest, runtime_of_packages

        bot = read_manifest(folder)
        name = self._runtime or (bot.runtime if bot else None)
        plugins = self._session.plugins
        runtime = plugins.runtime(name) if name else runtime_of_packages(folder, plugins.runtimes().values())
        if runtime.packages is None:
            raise CodeError(f"packages cannot be installed for the runtime {runtime.name}", source=str(folder))
        manifest = runtime.packages.manifest_in(folder)
        if manifest is None:
            names = " or ".join(runtime.packages.manifests)
            raise CodeError(f"{folder} lists no packages for {runtime.name}: it holds no {names}", source=str(folder))
        images = self._session.config.runtime.images.items()
        configured = next((each for known, each in images if runtime.knows(known)), runtime.image)
        return runtime, runtime.packages, manifest, (bot and bot.image) or configured


def _install(command: Sequence[str], tree: Path, manifest: str, hint: str) -> None:
    """Run an installer.

    Raises:
        CodeError: It failed.
    """
    from botdock.errors import CodeError

    done = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, stdout=_STDERR, check=False)
    if done.returncode:
        message = f"what {manifest} lists cannot be installed: {Path(command[0]).name} exited with {done.returncode}"
        raise CodeError(message, source=manifest, hint=hint or None)
