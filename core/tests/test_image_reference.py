"""Names of images as Docker reads them, and which of them a pattern means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.config import Policy
from botdock.errors import ConfigError
from botdock.model.image_reference import ImagePattern, ImageReference, image_problem

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"

WORDS = st.from_regex(r"[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?", fullmatch=True)
HOSTS = st.sampled_from(["docker.io", "localhost", "registry.example", "localhost:5000", "a.b-c.example:443"])
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,6}", fullmatch=True)
DIGESTS = st.sampled_from([A, B])


@st.composite
def names(draw: st.DrawFn) -> str:
    """Return a name with any of its parts left out that may be."""
    host = draw(HOSTS.map("{}/".format) | st.just(""))
    path = "/".join(draw(st.lists(WORDS, min_size=1, max_size=4)))
    tag = draw(TAGS.map(":{}".format) | st.just(""))
    return f"{host}{path}{tag}{draw(DIGESTS.map('@{}'.format) | st.just(''))}"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("team/bots", "docker.io/team/bots:latest"),
        ("docker.io/python", "docker.io/library/python:latest"),
        ("index.docker.io/library/python", "docker.io/library/python:latest"),
        ("localhost/bots", "localhost/bots:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("registry:5000/bots", "registry:5000/bots:latest"),
        ("registry.example/a/b:1", "registry.example/a/b:1"),
        (f"python@{A}", f"docker.io/library/python@{A}"),
        (f"python:3.12@{A}", f"docker.io/library/python:3.12@{A}"),
        ("a__b/c---d", "docker.io/a__b/c---d:latest"),
        ("cafe", "docker.io/library/cafe:latest"),
    ],
)
def test_a_name_is_completed_as_docker_does(text: str, full: str) -> None:
    assert str(ImageReference.read(text)) == full


@given(names())
def test_what_is_complete_stays_as_it_is(name: str) -> None:
    image = ImageReference.read(name)
    assert ImageReference.read(str(image)) == image
    assert bool(image.tag) or bool(image.digest)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "Python",
            "python ",
            "python\n",
            "py thon",
            "-v",
            "--privileged",
            "/python",
            "python/",
            "a//b",
            "a/../b",
        ),
        *(
            "python:",
            "python:-x",
            f"python:{'x' * 129}",
            "python@",
            "python@3",
            f"python@{A.upper()}",
            "python@sha256:ab",
        ),
        *(f"@{A}", f"python@{A}@{B}", "a:b:c", "http://registry.example/a", "reg.example:port/a", "reg_.example/a"),
        *("python\0", "pythön", "python\ud800", "$(id)", "a" * 256, "a" * 10**6, A, "a" * 64, "[::1]/a", "python:3.*"),
    ],
)
def test_what_names_no_image_is_refused_in_words(text: str) -> None:
    problem = image_problem(text)
    assert problem is not None
    assert len(problem) < 300


@given(st.text(max_size=40) | st.text("aA:/@.-_*0", max_size=20))
def test_any_text_is_a_name_that_stays_as_it_is_or_a_problem(text: str) -> None:
    if image_problem(text) is None:
        assert str(ImageReference.read(str(ImageReference.read(text)))) == str(ImageReference.read(text))
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:/@")


def means(pattern: str, name: str) -> bool:
    return ImagePattern.read(pattern).matches(ImageReference.read(name))


@pytest.mark.parametrize(
    ("pattern", "meant", "others"),
    [
        (
            "python:3.12-*",
            ["python:3.12-slim", "docker.io/library/python:3.12-"],
            ["python:3.12", "python", "team/python:3.12-slim", f"python:3.12-slim@{A}", f"python@{A}"],
        ),
        ("python", ["python", "python:3", f"python@{A}", f"python:3@{A}"], ["pythons", "x/python", "ghcr.io/python"]),
        ("python:*", ["python:3"], [f"python@{A}", f"python:3@{A}"]),
        (f"python@{A}", [f"python@{A}", f"python:3@{A}"], ["python", f"python@{B}", f"pypy@{A}"]),
        (
            "registry.example/team/*",
            ["registry.example/team/a:1", f"registry.example/team/a@{A}"],
            ["registry.example/team/a/b", "registry.example/other/a", "team/a", "registry.example:5000/team/a"],
        ),
        ("registry.example/**", ["registry.example/a", "registry.example/a/b/c:2"], ["registry.example.evil/a", "a/b"]),
        (
            "registry.example/**/bots",
            ["registry.example/a/b/bots"],
            ["registry.example/bots", "registry.example/a/bot"],
        ),
        ("py?hon", ["python"], ["pyhon", "py/hon"]),
        (
            "index.docker.io/python:3",
            ["python:3", "library/python:3", "docker.io/python:3", "docker.io/library/python:3"],
            ["python", "python:3.12", "docker.io:443/library/python:3", "Docker.io/python:3", "docker.io/x/python:3"],
        ),
        (
            "python:latest",
            ["python", "docker.io/library/python"],
            ["python:Latest", "python:latest-slim", f"python@{A}"],
        ),
        (
            "registry.example:5000/team/*:1",
            ["registry.example:5000/team/a:1"],
            ["registry.example/team/a:1", "registry.example:5001/team/a:1", "registry.example:5000/team/a"],
        ),
        (
            f"registry:5000/a@{A}",
            [f"registry:5000/a@{A}", f"registry:5000/a:x@{A}"],
            [f"registry/a@{A}", f"registry:5000/a@{B}", f"a@{A}", "registry:5000/a:x"],
        ),
        ("localhost:5000/**", ["localhost:5000/a", "localhost:5000/a/b:1"], ["localhost/a", "localhost:5000", "a"]),
        ("**", ["python", "registry.example/a/b:1", f"localhost/a@{A}"], []),
        ("*", ["python"], ["team/python", "registry.example/python"]),
    ],
)
def test_a_pattern_means_just_those(pattern: str, meant: list[str], others: list[str]) -> None:
    assert [name for name in meant if not means(pattern, name)] == []
    assert [name for name in others if means(pattern, name)] == []


@given(names(), names())
def test_a_name_as_a_pattern_means_no_other_repository_and_no_other_digest(pattern: str, name: str) -> None:
    asked, image = ImageReference.read(pattern), ImageReference.read(name)
    assert means(pattern, pattern)
    if means(pattern, name):
        assert asked.name == image.name
        assert asked.digest in {"", image.digest}


@given(names(), st.data())
def test_a_wildcard_never_reaches_over_a_slash(name: str, data: st.DataObject) -> None:
    """A pattern made of a name by wildcards in it means only images of its registry and of as many parts."""
    image = ImageReference.read(name)
    host, *parts = image.name.split("/")
    starred = [data.draw(st.sampled_from([part, "*", f"{part[0]}*", f"?{part[1:]}"])) for part in parts]
    pattern = "/".join([host, *starred])
    assert means(pattern, name)
    other = ImageReference.read(data.draw(names()))
    if ImagePattern.read(pattern).matches(other):
        assert other.name.count("/") == image.name.count("/")
        assert other.name.split("/")[0] == host


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "Python:*",
        "python:[34]",
        "*.example/a",
        "a**/b",
        "python:3/x:",
        "python@sha256:*",
        "a b",
        "registry.example/",
    ],
)
def test_a_pattern_that_can_mean_nothing_is_a_problem_of_the_configuration(pattern: str) -> None:
    with pytest.raises(ConfigError, match="images: "):
        Policy(images=(pattern,))
