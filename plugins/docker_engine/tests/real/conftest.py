"""A place to run containers on a real Docker, which removes them afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from botdock.model import ContainerHandle, ContainerStatus, LogStream, Stream, new_execution_id
from botdock_engine_docker.engine import DockerEngine
from botdock_testing.engine import Asked


@attrs.frozen
class Ran:
    """A container that has ended."""

    container: ContainerHandle
    status: ContainerStatus
    stdout: bytes
    stderr: bytes


class Lab:
    """Runs containers on a real Docker, and removes them afterwards."""

    def __init__(self, engine: DockerEngine, make_spec: Callable[..., Asked], image: str) -> None:
        self.engine = engine
        self._make_spec = make_spec
        self._image = image
        self._labels = {"io.botdock.lab": new_execution_id()}

    def spec(self, *command: str, **fields: Any) -> Asked:
        """Return the spec of a container with a name of its own."""
        named = {"name": f"botdock-{new_execution_id()}", "image": self._image, "selectors": self._labels}
        return self._make_spec(command=command, **{**named, **fields})

    def shell(self, script: str, **fields: Any) -> Ran:
        """Run a shell script to its end."""
        return self.run(self.spec("/bin/sh", "-c", script, **fields))

    def python(self, program: str, **fields: Any) -> Ran:
        """Run a Python program to its end."""
        return self.run(self.spec("/bin/sh", "-c", 'exec python3 -c "$0"', program, **fields))

    def run(self, spec: Asked) -> Ran:
        """Run a container to its end."""
        container = self.engine.create(*spec, timeout=60.0)
        with self.engine.attach(container, timeout=60.0) as stream:
            self.engine.start(container, timeout=60.0)
            written = self.drain(stream)
        status = self.engine.wait(container, timeout=60.0)
        assert status is not None, "it did not end"
        return Ran(container, status, written[Stream.STDOUT], written[Stream.STDERR])

    @staticmethod
    def drain(
        stream: LogStream,
        until: Callable[[dict[Stream, bytes]], bool] = lambda _: False,
        *,
        into: dict[Stream, bytes] | None = None,
    ) -> dict[Stream, bytes]:
        """Read a stream to its end, or until what has come is enough."""
        written = dict.fromkeys(Stream, b"") if into is None else into
        end = time.monotonic() + 120.0
        while not (stream.ended or until(written)):
            assert time.monotonic() < end, f"the log does not end, after {written}"
            for chunk in stream.read(1.0):
                written[chunk.stream] += chunk.data
        return written

    def close(self) -> None:
        for info in self.engine.list(self._labels, timeout=60.0):
            self.engine.remove(ContainerHandle(id=info.container_id), timeout=60.0)


@pytest.fixture
def make_lab(
    docker_host: str, make_engine: Callable[..., DockerEngine], make_spec: Callable[..., Asked]
) -> Iterator[Callable[..., Lab]]:
    """Returns a function from an image to a place to run it."""
    labs: list[Lab] = []

    def make(image: str, *, host: str = docker_host) -> Lab:
        labs.append(Lab(make_engine(host), make_spec, image))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def bash_lab(make_lab: Callable[..., Lab], bash_image: str) -> Lab:
    return make_lab(bash_image)


@pytest.fixture
def python_lab(make_lab: Callable[..., Lab], python_image: str) -> Lab:
    return make_lab(python_image)
