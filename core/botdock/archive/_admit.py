"""The one gate that every entry passes: out of an archive, out of a folder, or into an archive."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple

from botdock.archive._budget import Budget
from botdock.archive._entry import Chunks, Entry, Items
from botdock.archive._tree import Place, Tree


class Admitted(NamedTuple):
    """An entry that broke no rule so far, where it goes, and its content, counted as it is read."""

    entry: Entry
    place: Place
    content: Iterator[bytes | memoryview]


def admit(items: Items, tree: Tree, budget: Budget) -> Generator[Admitted, None, None]:
    """Yield each entry once it is checked; the content of each must be read before the next.

    To be closed when something fails in between: it holds open what is being read.

    Raises:
        ArchiveError: An entry breaks a rule or exceeds a limit. Links are judged at the end, by `tree.finish`.
    """
    with closing(items):
        for entry, content in items:
            place = tree.add(entry)
            budget.begin(entry)
            yield Admitted(entry, place, _counted(content, budget))


def _counted(content: Chunks, budget: Budget) -> Iterator[bytes | memoryview]:
    for chunk in content:
        budget.spend(len(chunk))
        yield chunk
