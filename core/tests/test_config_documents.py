"""The configuration as it is shown and written down."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from botdock.config import Config, document, to_toml
from botdock_storage_minio.settings import MinIOSettings

SECRET = "hunter2"
CONFIG = Config(
    options={
        "minio": MinIOSettings(access_key=SECRET, secret_key=SECRET),
        "gcs": {"bucket": "b", "api_token": SECRET, "Password": [SECRET], "nested": {"my-key": SECRET}, "none": ""},
    },
)


def test_secrets_are_masked() -> None:
    shown = document(CONFIG)
    assert shown["options"]["minio"]["secret_key"] == shown["options"]["minio"]["access_key"] == "***"
    assert shown["options"]["gcs"] == {
        "bucket": "b",
        "api_token": "***",
        "Password": "***",
        "nested": {"my-key": "***"},
        "none": "",
    }
    assert SECRET not in to_toml(shown)


def test_an_absent_secret_is_shown_as_absent() -> None:
    assert document(Config(options={"m": MinIOSettings()}))["options"]["m"]["secret_key"] == ""


def test_secrets_are_shown_on_request() -> None:
    shown = document(CONFIG, show_secrets=True)
    assert shown["options"]["minio"]["secret_key"] == shown["options"]["gcs"]["api_token"] == SECRET


def test_no_repr_shows_a_secret() -> None:
    assert SECRET not in repr(CONFIG)
    assert "options=<of ['gcs', 'minio']>" in repr(CONFIG)


def test_a_document_is_plain_data() -> None:
    shown = document(Config(options={"x": {"folder": Path("/srv"), "day": date(2024, 1, 2)}}))
    assert shown["containers"]["pull"] == "missing"
    assert type(shown["containers"]["pull"]) is str
    assert shown["policy"]["networks"] == ["none"]
    assert shown["policy"]["max_limits"]["memory"] is None
    assert shown["options"]["x"] == {"folder": "/srv", "day": "2024-01-02"}


def test_what_is_none_is_left_out_of_toml() -> None:
    assert tomllib.loads(to_toml({"a": None, "b": [1, None], "c": {"d": None}})) == {"b": [1]}


PLAIN_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(PLAIN_TEXT, VALUES, max_size=5))
def test_toml_reads_back_as_it_was_written(data: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(data)) == data


def test_importing_the_configuration_is_cheap() -> None:
    code = (
        "import sys; before = set(sys.modules); from botdock.config import Config; "  # coverage's own are there before
        "print({'tomllib', 'platformdirs', 'loguru'} & (set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()"
