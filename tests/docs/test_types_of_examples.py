"""What is shown to those who embed botdock passes their type checker, as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNS = re.compile(r"\b((Docker)?Runner|submit)\(")
NOT_INSTALLED = ("import-not-found", "import-untyped")
"""What an example needs beside botdock, such as a web framework."""


@pytest.mark.sampled(3)
def test_the_programs_of_the_documents_and_the_examples_pass_mypy(tmp_path: Path) -> None:
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for number, block in enumerate(BLOCK.findall(document.read_text())):
            if RUNS.search(block):
                (tmp_path / f"{document.stem.replace('-', '_')}_{number}.py").write_text(block)
    programs = [*tmp_path.glob("*.py"), ROOT / "examples/demo.py", *ROOT.glob("examples/embedding/*.py")]
    assert len(programs) > 15
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\ncheck_untyped_defs = true\ndisable_error_code = {', '.join(NOT_INSTALLED)}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", ".mypy", *map(str, programs)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "examples/embedding")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
