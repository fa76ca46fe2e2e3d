"""The testbed by hand: `python -m testbed images|up|down|clean`, from the folder `tests`."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from functools import partial

from testbed.browser import ensure_browser
from testbed.cache import cache_dir
from testbed.console import TestbedError, say
from testbed.daemon import PrivateDaemon
from testbed.images import ensure_images
from testbed.interpreters import ensure_node22
from testbed.kubernetes import KubernetesCluster
from testbed.kubernetes_parts import ensure_parts
from testbed.kubernetes_program import HELP, ensure_kubernetes
from testbed.minio import MinioServer
from testbed.minio_program import ensure_minio
from testbed.oci import ensure_runtimes
from testbed.provision import Lease, find_engine, is_ci, may_own_a_daemon
from testbed.registry import ensure_registry
from testbed.suites import NEWER


def prepare() -> None:
    """Build or pull what the tests need, so that they find it; what cannot be had is theirs to skip or to fail."""
    _prepare("Docker", _prepare_images)
    if may_own_a_daemon():
        _prepare("a newer Docker", partial(_prepare_images, NEWER))
    _prepare("an OCI runtime", ensure_runtimes)
    _prepare("MinIO", ensure_minio)
    _prepare("Node.js 22", ensure_node22)
    _prepare("a browser", ensure_browser)
    _prepare("Kubernetes", _prepare_kubernetes)
    _prepare("a registry of images", ensure_registry)
    say(f"ready; what was built is kept in {cache_dir()}")


def _prepare(what: str, make: Callable[[], object]) -> None:
    try:
        make()
    except TestbedError as error:
        if is_ci():
            raise
        say(f"tests that need {what} will be skipped: {error}")


def _prepare_images(suite: str | None = None) -> None:
    lease = Lease(suite) if may_own_a_daemon() else None
    try:
        ensure_images(find_engine(lease.daemon if lease else None).host)
    finally:
        if lease is not None:
            lease.give_back()


def _prepare_kubernetes() -> None:
    if not may_own_a_daemon():
        raise TestbedError(f"no Kubernetes: only root can start one of our own; {HELP}")
    ensure_kubernetes()
    ensure_parts()


def up() -> None:
    """Start a private daemon with the images, and print how to use it."""
    daemon = _manual_daemon()
    daemon.start()
    ensure_images(daemon.host)
    print(f"export DOCKER_HOST={daemon.host}")


def down() -> None:
    """Stop what `up` started."""
    _manual_daemon().stop()


def clean() -> None:
    """Delete the cache folder with all that was built."""
    for folder in cache_dir().glob("daemon-*"):
        PrivateDaemon(folder).delete()
    for folder in cache_dir().glob("kubernetes-[0-9]*"):
        KubernetesCluster(folder).delete()
    for folder in cache_dir().glob("minio-*"):
        MinioServer(folder).delete()
    shutil.rmtree(cache_dir())


def _manual_daemon() -> PrivateDaemon:
    folder = cache_dir() / "daemon-manual"
    folder.mkdir(exist_ok=True)
    return PrivateDaemon(folder)


COMMANDS = {"images": prepare, "up": up, "down": down, "clean": clean}


def main() -> int:
    """Run the command that was named."""
    parser = argparse.ArgumentParser(prog="python -m testbed", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args().command]()
    except TestbedError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
