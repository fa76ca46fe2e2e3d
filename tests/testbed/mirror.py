"""The Debian mirror that this machine itself uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

DEFAULT = "http://deb.debian.org/debian"
SUITES = frozenset({"bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"})
"""Names by which a source is known to be Debian's own archive, and not a vendor's, an update's or Ubuntu's."""


def find_mirror(apt: Path = Path("/etc/apt")) -> str:
    """Return the first Debian archive of the machine's apt sources, else Debian's default."""
    lines = (apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list")))
    stanzas = sorted(apt.glob("sources.list.d/*.sources"))
    found = [
        *(uri for file in stanzas for uri in deb822_mirrors(_read(file))),
        *(uri for file in lines for uri in one_line_mirrors(_read(file))),
    ]
    return next(iter(found), DEFAULT)


def one_line_mirrors(text: str) -> Iterator[str]:
    """Yield the archives of the one-line format: `deb [options] URI SUITE COMPONENT...`."""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] != "deb":
            continue
        end = next((index for index, word in enumerate(words) if word.endswith("]")), 0)
        uri, suite, *components = (*words[end + 1 :], "", "")
        yield from _archives([uri], [suite], components)


def deb822_mirrors(text: str) -> Iterator[str]:
    """Yield the archives of the deb822 format: stanzas of `Types URIs Suites Components`."""
    for stanza in text.split("\n\n"):
        fields = {
            name.strip().casefold(): value.split()
            for name, _, value in (line.partition(":") for line in stanza.splitlines() if not line.startswith("#"))
        }
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            yield from _archives(fields.get("uris", []), fields.get("suites", []), fields.get("components", []))


def _archives(uris: Iterable[str], suites: Iterable[str], components: Iterable[str]) -> Iterator[str]:
    if SUITES.intersection(suites) and "main" in components:
        yield from (uri.rstrip("/") for uri in uris if uri.startswith(("http://", "https://", "file:/")))


def _read(file: Path) -> str:
    return file.read_text(errors="replace") if file.is_file() else ""
