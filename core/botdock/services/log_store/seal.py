"""What the seal of a segment says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import attrs

from botdock.services.log_store.layout import STREAMS, VERSION
from botdock.services.log_store.tally import Tally


@attrs.frozen(kw_only=True)
class Seal:
    """What is in a segment to which nothing is added any more.

    Attributes:
        tally: Its counts.
        sha256: The hash of each stream's bytes, and of the `index`.
    """

    tally: Tally
    sha256: Mapping[str, str]

    @classmethod
    def of(cls, document: dict[str, Any], number: int) -> Self:
        """Return the seal of a segment from its document.

        Raises:
            ValueError: It is not that of this segment.
        """
        if document.get("version") != VERSION or document.get("segment") != number:
            raise ValueError("it is that of another segment, or of another version")
        sha256 = document.get("sha256")
        if not isinstance(sha256, dict) or set(sha256) != {*STREAMS, "index"}:
            raise ValueError("it holds no hashes")
        return cls(tally=Tally.from_json(document), sha256=sha256)
