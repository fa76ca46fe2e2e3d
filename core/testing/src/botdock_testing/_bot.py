"""Runs a bot as a plain process, through the files that botdock generates: no engine, no container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.entrypoints import (
    ResultReading,
    begin_result,
    most_bytes,
    read_result,
    write_context,
    write_program,
)
from botdock.model import ExecutionContext, Runtime

PATIENCE = 60.0
"""Seconds that a bot of a test may take on a machine that is busy with other things."""


@attrs.frozen(kw_only=True)
class Ended:
    """How a bot ended.

    Attributes:
        exit_code: Of its process; negative for the signal that ended it.
        stdout: All of it.
        stderr: All of it.
        reading: What `read_result` makes of its result.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    reading: ResultReading


@attrs.frozen(kw_only=True)
class Bot:
    """A tree of code, the files that start it, and its result file.

    Attributes:
        runtime: The language.
        context: What the wrapper is told.
    """

    runtime: Runtime
    context: ExecutionContext

    @property
    def program(self) -> Path:
        """The folder of the runtime's files."""
        return self.folder.with_name("program")

    @property
    def folder(self) -> Path:
        """The context folder."""
        return Path(self.context.context_dir)

    def prepare(self) -> None:
        """Generate everything."""
        write_program(self.runtime, self.program)
        write_context(self.context, self.folder)
        begin_result(self.runtime, Path(self.context.result_file))

    def start(self, **image: str) -> subprocess.Popen[bytes]:
        """Start what has been prepared, as an engine would; in the environment are PATH, HOME and those of `image`."""
        folder = Path(sys.executable).parent
        environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": self.context.code_dir, **image}
        return subprocess.Popen(
            ["/bin/sh", str(self.program / "entrypoint.sh"), str(self.folder)],
            cwd=self.context.code_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start what has been prepared; where a test fails meanwhile, kill it, for its end is waited for."""
        with self.start() as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def run(self) -> Ended:
        """Prepare it, run it, and wait for its end."""
        self.prepare()
        with self.start() as process:
            return self.finish(process)

    def finish(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for the end of a process of this bot; one that takes too long is killed."""
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE)
        except BaseException:
            process.kill()
            raise
        return Ended(exit_code=process.returncode, stdout=stdout, stderr=stderr, reading=self.reading())

    def reading(self) -> ResultReading:
        """Return what the result file says."""
        limit = self.context.result_limit
        with Path(self.context.result_file).open("rb") as file:
            data = file.read(most_bytes(self.runtime, limit) + 1)
        return read_result(data, limit, self.runtime, self.context.entrypoint)


@contextmanager
def bot(
    runtime: Runtime,
    source: str | Path,
    *,
    script: str | None = None,
    tree: Mapping[str, str] | None = None,
    id: str = "bot-1",  # noqa: A002 - the field's name
    entrypoint: str = "bot",
    config: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    result_limit: int = 1024 * 1024,
) -> Iterator[Bot]:
    """Lay out a bot in a folder that is gone afterwards.

    Args:
        runtime: The language; the test is skipped where this machine lacks its interpreter.
        source: Of the script, as text; or a folder that is the tree.
        script: Its name; None for the first that the runtime looks for, or finds in the folder.
        tree: More files, name to text.
        id: The executable's id.
        entrypoint: `bot` or `backtest`.
        config: The config; None for an empty one.
        variables: The caller's own variables.
        result_limit: Bytes that the result may have.
    """
    need_interpreter(runtime)
    with tempfile.TemporaryDirectory(prefix="botdock-bot-") as name:
        root = Path(name).resolve()
        code = source if isinstance(source, Path) else root / "code"
        found = runtime.find_script(code, entrypoint) if isinstance(source, Path) else None
        context = ExecutionContext(
            id=id,
            entrypoint=entrypoint,
            script=script or found or runtime.scripts[entrypoint][0],
            config=config or {},
            code_dir=str(code),
            context_dir=str(root / "context"),
            result_file=str(root / "result"),
            result_limit=result_limit,
            variables=variables or {},
            startup=runtime.startup_names(variables or ()),
        )
        (root / "context").mkdir()
        (root / "program").mkdir()
        (root / "result").touch()
        if not isinstance(source, Path):
            _plant(code, {**(tree or {}), context.script: source})
        yield Bot(runtime=runtime, context=context)


def _plant(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def need_interpreter(runtime: Runtime) -> None:
    """Skip the test, saying so, where no interpreter of the runtime is on PATH."""
    if not any(shutil.which(program) for program in runtime.interpreters):
        pytest.skip(f"none of {', '.join(runtime.interpreters)} is on PATH")
