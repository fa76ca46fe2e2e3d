"""What `botdock doctor` asks of Docker."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from botdock.errors import BotdockError
from botdock.model import Check, CheckStatus
from botdock.model.units import format_bytes
from botdock_engine_docker.settings import DockerSettings

if TYPE_CHECKING:
    from botdock.config import Config
    from botdock_engine_docker.capabilities import Probe
    from botdock_engine_docker.endpoint import Endpoint

TIMEOUT = 10.0
"""Seconds for the daemon to answer."""
LOW_DISK = 1024 * 1024 * 1024
"""Bytes; with less, pulling an image is likely to fail."""


def checks(config: Config) -> Iterable[Check]:
    """Look at the daemon and yield what was found; never raises."""
    try:
        from botdock_engine_docker.capabilities import probe
        from botdock_engine_docker.client import DockerClient
        from botdock_engine_docker.endpoint import find_endpoint
        from botdock_engine_docker.seccomp import read_profile

        settings = config.options_for("docker", DockerSettings)
        endpoint = find_endpoint(settings)
        read_profile(settings.seccomp)
        client = DockerClient(endpoint, api_version=settings.api_version, connect_timeout=settings.connect_timeout)
    except ImportError as error:
        return [_failed("docker.package", f"the package docker does not import: {error}", "pip install 'docker>=7.1'")]
    except BotdockError as error:
        return [_failed("docker.config", error.message, error.hint or "")]
    try:
        return list(_examine(probe(client, timeout=TIMEOUT), endpoint, settings.seccomp))
    except BotdockError as error:
        return [_failed("docker.engine", error.message, error.hint or "")]


def _examine(probed: Probe, endpoint: Endpoint, seccomp: str) -> Iterator[Check]:
    yield _ok("docker.engine", f"{probed.capabilities.version} at {endpoint.url}")
    yield from _isolation(probed)
    if probed.has_seccomp:
        yield _seccomp(probed.machine.architecture, seccomp)
    yield from _files(probed, endpoint)
    if probed.info.get("LiveRestoreEnabled"):
        yield _ok("docker.live_restore", "bots outlive a restart of the daemon")
    else:
        remedy = 'Put {"live-restore": true} into /etc/docker/daemon.json and run `sudo systemctl reload docker`.'
        yield _warning("docker.live_restore", "bots end when the daemon restarts", remedy)


def _isolation(probed: Probe) -> Iterator[Check]:
    missing = probed.missing()
    for feature, (reason, remedy) in missing.items():
        yield _failed(f"docker.{feature}", reason, remedy)
    if not missing:
        yield _ok("docker.isolation", "the whole of the strict profile is enforced")


def _seccomp(architecture: str, own: str) -> Check:
    """Say which seccomp profile is in force; where there is none at all, that was said before."""
    from botdock_engine_docker.seccomp import ARCHITECTURES

    if own:
        return _ok("docker.seccomp", f"the operator's own profile, {own}")
    if architecture in ARCHITECTURES:
        return _ok("docker.seccomp", "botdock's own profile")
    known = " and ".join(ARCHITECTURES)
    remedy = "Set docker.seccomp to a profile of your own, which denies AF_VSOCK sockets and io_uring."
    detail = f"the daemon's default profile: botdock's is for {known}, not {architecture or 'unknown'}"
    return _warning("docker.seccomp", detail, remedy)


def _files(probed: Probe, endpoint: Endpoint) -> Iterator[Check]:
    if not endpoint.shared_disk:
        remedy = "Run botdock on the daemon's machine, or set docker.shared_disk = true if both see the same."
        yield _failed("docker.shared_disk", "the daemon does not see this machine's files", remedy)
        return
    if probed.says("selinux"):
        remedy = "Label botdock's state folder for containers: `chcon -Rt container_file_t FOLDER`."
        yield _warning("docker.selinux", "SELinux may keep containers from reading mounted folders", remedy)
    yield from _disk(str(probed.info.get("DockerRootDir") or ""))


def _disk(root: str) -> Iterator[Check]:
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return  # only root may look there, or it lies on another machine
    if free < LOW_DISK:
        yield _warning("docker.disk", f"{format_bytes(free)} free in {root}", "`docker system prune` frees some.")
    else:
        yield _ok("docker.disk", f"{format_bytes(free)} free in {root}")


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, status=CheckStatus.OK, detail=detail)


def _warning(name: str, detail: str, remedy: str) -> Check:
    return Check(name=name, status=CheckStatus.WARNING, detail=detail, remedy=remedy)


def _failed(name: str, detail: str, remedy: str) -> Check:
    return Check(name=name, status=CheckStatus.FAILED, detail=detail, remedy=remedy)
