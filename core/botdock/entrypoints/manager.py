"""Which runtimes there are, and the files that start a bot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from botdock.entrypoints.files import keep_program
from botdock.errors import NotFoundError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdock.model import Runtime


class EntrypointManager:
    """Knows the runtimes and writes what starts a bot.

    Example:
        >>> manager = EntrypointManager({}, {})
        >>> manager.get_supported_runtimes()
        ()
    """

    def __init__(
        self,
        runtimes: Mapping[str, Runtime],
        images: Mapping[str, str],
        *,
        find: Callable[[str], Runtime] | None = None,
    ) -> None:
        """Make a manager.

        Args:
            runtimes: By canonical name.
            images: In place of a runtime's own image; the keys are names or aliases of runtimes.
            find: Asked for a name that is none of `runtimes`: it knows why, such as two plugins that claim it.
        """
        self._runtimes = dict(runtimes)
        self._find = find
        self._images = {name.casefold(): image for name, image in images.items()}

    def get_supported_runtimes(self) -> tuple[str, ...]:
        """Return the canonical names, sorted."""
        return tuple(sorted(self._runtimes))

    def validate_runtime(self, name: str) -> Runtime:
        """Return the runtime of that name or alias; case does not matter, and a canonical name goes before an alias.

        Raises:
            NotFoundError: There is none; the nearest names are in the message.
            UserError: Several runtimes have that alias.
        """
        called = [runtime for runtime in self._runtimes.values() if runtime.name.casefold() == name.casefold()]
        found = called or [runtime for runtime in self._runtimes.values() if runtime.knows(name)]
        if not found and self._find is not None:
            return self._find(name)
        if not found:
            raise NotFoundError("runtime", name, {known for each in self._runtimes.values() for known in each.names})
        if len(found) > 1:
            both = " and ".join(sorted(runtime.name for runtime in found))
            raise UserError(f"runtime {name!r} is a name of {both}", hint="Name the one that is meant.")
        return found[0]

    def get_docker_image(self, name: str) -> str:
        """Return the image of a runtime: the configured one, else its own.

        Raises:
            NotFoundError: There is no such runtime.
        """
        runtime = self.validate_runtime(name)
        configured = (self._images.get(known.casefold()) for known in runtime.names)
        return next((image for image in configured if image), runtime.image)

    def create_entrypoint_script(self, runtime: Runtime, programs: Path) -> Path:
        """Return the path of a runtime's `entrypoint.sh`, after writing its program where it is not there yet.

        The program is the same for every bot. What a run is told is data in another folder: see `write_context`.

        Args:
            runtime: The runtime.
            programs: The folder of all programs; each is in a folder named by the SHA-256 of what is in it.

        Raises:
            EntrypointError: The files cannot be generated or written.
        """
        return keep_program(runtime, programs)
