from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import ConfigError, StorageKeyError
from botdock.model import StorageArea
from botdock_storage_minio.settings import Location, MinIOSettings, location_of
from botdock_testing.storage import storage_keys

GOOD: dict[str, Any] = {"endpoint": "127.0.0.1:9000", "access_key": "key", "secret_key": "secret"}


def problems(**fields: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        location_of(MinIOSettings(**{**GOOD, **fields}), StorageArea.CODE)
    return caught.value.problems


def test_each_area_has_its_bucket_under_the_old_names() -> None:
    locations = [location_of(MinIOSettings(**GOOD), area) for area in StorageArea]
    assert [(location.bucket, location.prefix) for location in locations] == [
        ("custom-bots", ""),
        ("backtests", ""),
        ("bot-logs", ""),
    ]


def test_one_bucket_has_a_prefix_for_each() -> None:
    config = MinIOSettings(**GOOD, bucket_name="one", prefix="/team/a/", use_ssl=True)
    assert location_of(config, StorageArea.LOGS) == Location(
        url="https://127.0.0.1:9000", bucket="one", prefix="team/a/logs/"
    )


@pytest.mark.parametrize("endpoint", ["s3.amazonaws.com", "minio:9000", "[::1]:9000", "my_minio.local"])
def test_endpoints(endpoint: str) -> None:
    assert location_of(MinIOSettings(**{**GOOD, "endpoint": endpoint}), StorageArea.CODE).url == f"http://{endpoint}"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"endpoint": ""}, "minio.endpoint: must be set"),
        ({"endpoint": "https://host:9000"}, "minio.endpoint: write host:port without https://; use_ssl = true"),
        ({"endpoint": "host:9000/path"}, "minio.endpoint: 'host:9000/path' is not host:port"),
        ({"secret_key": ""}, "minio.secret_key: must be set where access_key is"),
        ({"access_key": ""}, "minio.access_key: must be set where secret_key is"),
        ({"region": "eu west"}, "minio.region: 'eu west' is not the name of a region"),
        ({"cert_file": "/nowhere/ca.pem"}, "minio.cert_file: '/nowhere/ca.pem' is not a file"),
        ({"code_bucket": "A"}, "minio.code_bucket: 'A' is not the name of a bucket"),
        ({"logs_bucket": "a..b"}, "minio.logs_bucket: 'a..b' is not the name of a bucket"),
        ({"bucket_name": "under_score"}, "minio.bucket_name: 'under_score' is not the name of a bucket"),
        ({"prefix": "a/../b"}, "minio.prefix: 'a/../b': holds a segment '.' or '..'"),
    ],
)
def test_a_mistake_is_named(fields: dict[str, str], says: str) -> None:
    (problem,) = problems(**fields)
    assert problem.startswith(says)


def test_credentials_in_the_endpoint_are_not_repeated() -> None:
    (problem,) = problems(endpoint="key:hunter2@host:9000")
    assert "hunter2" not in problem


def test_all_mistakes_are_named_at_once() -> None:
    assert len(problems(endpoint="", secret_key="", prefix="\\", code_bucket="x")) == 4


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))  # of which a file of settings could hold


@given(endpoint=TEXT, region=TEXT, bucket=TEXT, prefix=TEXT)
def test_any_text_is_a_location_or_an_error_in_words(endpoint: str, region: str, bucket: str, prefix: str) -> None:
    config = MinIOSettings(**{**GOOD, "endpoint": endpoint, "region": region, "bucket_name": bucket, "prefix": prefix})
    try:
        location = location_of(config, StorageArea.CODE)
    except ConfigError as error:
        assert all(problem.startswith("minio.") for problem in error.problems)  # noqa: PT017 - both ends are right
    else:
        assert location.key_of(f"{location.prefix}key") == "key" or len(location.prefix) > 900


@given(key=storage_keys(), prefix=storage_keys(max_bytes=200))
def test_a_name_leads_back_to_its_key_and_never_out_of_the_prefix(key: str, prefix: str) -> None:
    location = Location(url="u", bucket="b", prefix=f"{prefix}/")
    try:
        name = location.name_of(key)
    except StorageKeyError:
        return
    assert name.startswith(f"{prefix}/")
    assert location.key_of(name) == key
    assert len(name.encode()) <= 1024


def test_a_key_that_the_prefix_leaves_no_room_for_is_refused() -> None:
    location = Location(url="u", bucket="b", prefix=f"{'p' * 200}/")
    with pytest.raises(StorageKeyError, match="longer than 823 bytes, which is what the prefix"):
        location.name_of("/".join(["k" * 200] * 5))


def test_a_location_is_shown_without_a_secret() -> None:
    assert str(Location(url="http://h:1", bucket="b", prefix="p/q/")) == "minio (http://h:1/b/p/q)"
