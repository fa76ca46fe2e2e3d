"""What griffe, which reads docstrings for the site, is told besides."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Lets `Example:`, as Google's own guide has it, be a section as `Examples:` is."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Look at what is read of one module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
