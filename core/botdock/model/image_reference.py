"""Names of images, read as Docker reads them, and patterns that say which of them are allowed.

The grammar is that of the distribution project (`reference/regexp.go` and `normalize.go`), without digests other than
SHA-256, without addresses of IPv6, and without what Docker takes for the id of an image.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Self

import attrs

_REGISTRY, _LIBRARY = "docker.io", "library"
_OLD_REGISTRY = "index.docker.io"
_LONGEST_NAME = 255
"""Characters of registry and path together."""
_LONGEST = 512
"""Characters of a text that is looked at: the longest name, tag and digest have fewer together."""
_SHOWN = 80
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?"
)
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_PART_PATTERN = re.compile(r"[a-z0-9._*?-]+")
_TAG_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]{1,128}")
_ANY_DEPTH = "**"


@attrs.frozen(kw_only=True)
class ImageReference:
    """The name of an image, in full.

    Example:
        >>> str(ImageReference.read("python"))
        'docker.io/library/python:latest'

    Attributes:
        name: Registry and path.
        tag: The tag, `latest` where neither tag nor digest is given; empty beside a digest that has none.
        digest: `sha256:...`; empty for none. Where there is one it decides, and the tag says nothing.
    """

    name: str
    tag: str
    digest: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what a text names.

        Raises:
            ValueError: It does not name an image, or names one by its id.
        """
        if _ID.fullmatch(text):
            raise ValueError(f"{_shown(text)} is the id of an image, not its name")
        rest, digest = _digest_of(text)
        path, tag = _tag_of(rest)
        host, parts = _completed(path)
        if not _HOST.fullmatch(host):
            raise ValueError(f"{_shown(text)} names a registry that cannot be: {_shown(host)}")
        for part in parts:
            if not _PART.fullmatch(part):
                raise ValueError(f"{_shown(text)} is not the name of an image: {_part_problem(part)}")
        if tag is not None and not _TAG.fullmatch(tag):
            raise ValueError(f"{_shown(text)} has a tag that is not 1 to 128 of A-Z a-z 0-9 _ . -")
        name = "/".join([host, *parts])
        if len(name) > _LONGEST_NAME:
            raise ValueError(f"{_shown(text)} is longer than the {_LONGEST_NAME} characters of a name")
        return cls(name=name, tag=tag or ("" if digest else "latest"), digest=digest)

    def __str__(self) -> str:
        """Return it in full, as every engine reads it."""
        return f"{self.name}{self.tag and f':{self.tag}'}{self.digest and f'@{self.digest}'}"


@attrs.frozen(kw_only=True)
class ImagePattern:
    """Which images are meant.

    Example:
        >>> ImagePattern.read("python:3.12-*").matches(ImageReference.read("python:3.12-slim"))
        True

    Attributes:
        parts: Registry, and path, each with its wildcards; empty for any name.
        tag: With its wildcards; None for any tag and any digest.
        digest: The one digest that is meant; empty for any.
    """

    parts: tuple[str, ...]
    tag: str | None
    digest: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the pattern that a text is: the name of an image as Docker has it, in which wildcards may stand.

        `*` and `?` stand for characters of one part of the path or of the tag, `**` for one part or more; the registry
        has none. `**` alone is any image of any registry. A pattern without a tag means every tag and every digest of
        the name, one with a tag no digest, one with a digest that digest alone.

        Raises:
            ValueError: It can match nothing.
        """
        if text == _ANY_DEPTH:
            return cls(parts=(), tag=None, digest="")
        rest, digest = _digest_of(text)
        path, tag = _tag_of(rest)
        host, parts = _completed(path)
        if not _HOST.fullmatch(host):
            raise ValueError(f"{_shown(text)} must name its registry without wildcards, not {_shown(host)}")
        wrong = [
            part for part in parts if not _PART_PATTERN.fullmatch(part) or (_ANY_DEPTH in part and part != _ANY_DEPTH)
        ]
        if wrong:
            problem = "** must stand alone" if _ANY_DEPTH in wrong[0] else _part_problem(wrong[0])
            raise ValueError(f"{_shown(text)} is not a pattern of images: {problem}")
        if tag is not None and not _TAG_PATTERN.fullmatch(tag):
            raise ValueError(f"{_shown(text)} has a tag that is not of A-Z a-z 0-9 _ . - * ?")
        return cls(parts=(host, *parts), tag=tag, digest=digest)

    def matches(self, image: ImageReference) -> bool:
        """Tell whether an image is meant."""
        if self.parts and not _same_path(self.parts, tuple(image.name.split("/"))):
            return False
        if self.digest:
            return image.digest == self.digest
        return self.tag is None or (not image.digest and fnmatchcase(image.tag, self.tag))


def image_problem(value: object) -> str | None:
    """Say why `value` cannot name an image."""
    if not isinstance(value, str):
        return f"must be text such as python:3.12-slim, not {type(value).__name__}"
    try:
        ImageReference.read(value)
    except ValueError as error:
        return str(error)
    return None


def _digest_of(text: str) -> tuple[str, str]:
    """Return what stands before the digest, and the digest."""
    if len(text) > _LONGEST:
        raise ValueError(f"{_shown(text)} is longer than the name of an image can be")
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(f"{_shown(text)} has a digest that is not sha256: and 64 of 0-9 a-f")
    return rest, digest


def _tag_of(text: str) -> tuple[str, str | None]:
    """Return what stands before the tag, and the tag; a colon before the last slash is that of a port."""
    folder, slash, last = text.rpartition("/")
    name, colon, tag = last.rpartition(":")
    return (f"{folder}{slash}{name}", tag) if colon else (text, None)


def _completed(path: str) -> tuple[str, list[str]]:
    """Return registry and path, with what Docker adds where they are left out."""
    first, slash, rest = path.partition("/")
    if not slash or not (set(first) & set(".:") or first == "localhost" or first != first.lower()):
        first, rest = _REGISTRY, path
    host = _REGISTRY if first == _OLD_REGISTRY else first
    parts = rest.split("/")
    return host, [_LIBRARY, *parts] if host == _REGISTRY and len(parts) == 1 else parts


def _same_path(patterns: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not patterns or not parts:
        return patterns == parts
    first, *rest = patterns
    if first == _ANY_DEPTH:
        return any(_same_path(tuple(rest), parts[taken:]) for taken in range(1, len(parts) + 1))
    return fnmatchcase(parts[0], first) and _same_path(tuple(rest), parts[1:])


def _part_problem(part: str) -> str:
    if not part:
        return "a part of it is empty"
    if part != part.lower():
        return f"{_shown(part)} must be in lower case"
    return f"{_shown(part)} must be of a-z 0-9, with . _ - between them"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
