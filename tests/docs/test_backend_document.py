"""What the how-to shows of a storage is the bundled member's own source, which the tests of that member run."""

from __future__ import annotations

from pathlib import Path

from testbed.documents import blocks

ROOT = Path(__file__).parents[2]
MEMBER = ROOT / "storage_backends/sqlite"


def test_what_is_shown_is_the_member_s_own_source() -> None:
    source = "".join(path.read_text() for path in [*MEMBER.rglob("*.py"), MEMBER / "pyproject.toml"])
    shown = blocks((ROOT / "docs/how-to/write-a-storage-backend.md").read_text())
    excerpts = [block.text for block in shown if block.language != "console"]
    assert len(excerpts) == 5
    assert [text for text in excerpts if text not in source] == []
