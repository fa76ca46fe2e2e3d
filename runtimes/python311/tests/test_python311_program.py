"""A script that is a program of its own: it runs as `python main.py` would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from botdock_runtime_python311.runtime import PYTHON311
from botdock_testing.runtime import Ended, bot

PROGRAMS = {
    "name": "import sys\nprint(__name__, __package__, __spec__, sys.modules['__main__'].__dict__ is globals())",
    "file": "import os, sys\nprint(os.path.basename(__file__), sys.argv, os.path.samefile(sys.path[0], '.'))",
    "guard": "def main(argv=None):\n    return 4\nif __name__ == '__main__':\n    raise SystemExit(main())",
    "asyncio": "import asyncio\nasync def main():\n    print('async')\nasyncio.run(main())",
    "imported": "from helper import main\nif __name__ == '__main__':\n    main()",
    "star": "from helper import *\nprint(helped)",
    "pickle": "import pickle\nclass Own: ...\nprint(pickle.loads(pickle.dumps(Own())).__class__)",
    "hints": "import typing\nclass A:\n    b: 'B'\nclass B: ...\nprint(typing.get_type_hints(A))",
    "pool": (
        "import multiprocessing\ndef square(n): return n * n\nif __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n        print(pool.map(square, [1, 2]))"
    ),
    "words": "import sys\nprint('half')\nsys.exit('not today')",
    "error": "def trade():\n    raise ValueError('no')\ntrade()",
    "atexit": "import atexit\natexit.register(print, 'bye')\nclass A:\n    def __del__(self): print('gone')\na = A()",
    "records": "import logging\nlogging.info('not shown')\nlogging.warning('shown')",
    "latin": b"# coding: latin-1\nprint('\xe9')",
    "large": "#" * 40_000 + "\ndef helper(): ...\nif __name__ == '__main__':\n    print('large')",
    "larger": "#" * 300_000 + "\nprint('larger')",
}


def run(source: str | Path, **more: Any) -> Ended:
    with bot(PYTHON311, source, **more) as made:
        return made.run()


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_does_what_python_makes_it_do(tmp_path: Path, source: str | bytes) -> None:
    (tmp_path / "main.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    (tmp_path / "helper.py").write_text("helped = 'helped'\ndef main():\n    print('main of the helper')\n")
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # else it warns
    plain = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, check=False, timeout=60, env=unmeasured
    )
    ended = run(tmp_path)
    assert (ended.exit_code, ended.stdout) == (plain.returncode, plain.stdout)
    assert without_places(ended.stderr) == without_places(plain.stderr)
    assert not ended.reading.present


def without_places(said: bytes) -> list[bytes]:
    return [line.partition(b"main.py")[2] if b'File "' in line else line for line in said.splitlines()]


def test_a_program_of_a_package_imports_by_relative_names() -> None:
    with bot(
        PYTHON311,
        "from . import rates\nprint(__name__, __package__, rates.eur)",
        script="desk/main.py",
        tree={"desk/__init__.py": "print('package')", "desk/rates.py": "eur = 7"},
    ) as made:
        assert made.run().stdout == b"package\n__main__ desk 7\n"


def test_what_ends_a_program_is_in_its_result() -> None:
    ended = run("raise LookupError('no price')")
    assert (ended.reading.exit_code, ended.reading.error) == (1, "LookupError: no price")


def test_a_terminated_program_unwinds() -> None:
    source = """
        import signal, os
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            print("closed")
    """
    ended = run(dedent(source))
    assert (ended.exit_code, ended.stdout, ended.reading.exit_code) == (143, b"closed\n", 143)


def test_names_that_come_by_a_star_may_be_a_main() -> None:
    with bot(
        PYTHON311, "from app import *\nprint('loaded')", tree={"app.py": "def main(id, config): return id"}
    ) as made:
        ended = made.run()
    assert (ended.stdout, ended.reading.value) == (b"loaded\n", made.context.id)
