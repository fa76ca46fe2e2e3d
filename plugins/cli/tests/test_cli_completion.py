"""What the shell completes."""

from __future__ import annotations

from pathlib import Path

import pytest

from botdock_cli.options import complete_config, complete_executions, complete_runtimes


def test_files_complete_after_the_at_sign() -> None:
    Path("one.json").touch()
    Path("two.json").touch()
    Path("sub").mkdir()
    Path("sub/on[e].json").touch()
    assert complete_config("@o") == ["@one.json"]
    assert complete_config("@sub/") == ["@sub/on[e].json"]


@pytest.mark.parametrize("incomplete", ["", "{", "@no/such/folder/"])
def test_nothing_completes_where_there_is_no_file(incomplete: str) -> None:
    assert complete_config(incomplete) == []


def test_a_broken_configuration_completes_nothing_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("botdock.toml").write_text("this is = = no TOML")
    assert complete_runtimes("") == complete_executions("") == []
    assert capfd.readouterr() == ("", "")
