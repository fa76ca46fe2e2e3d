"""What a cluster enforces of the strict profile: seen from within a container that is held to it."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.networking_v1 import NetworkPolicySpec
from lightkube.resources.networking_v1 import NetworkPolicy

from botdock.errors import EngineUnavailableError
from botdock.model import ContainerHandle, EngineCapabilities, Feature, LogCursor
from botdock.model.enforcement import Seen, seen_in, tried
from botdock_engine_kubernetes.capabilities import LIMITS, PROCESSES, missing_features
from botdock_engine_kubernetes.pod import LABEL_NETWORK, script_text

if TYPE_CHECKING:
    from botdock.config import Config
    from botdock.model import Engine
    from botdock_engine_kubernetes.cluster import Cluster
    from botdock_engine_kubernetes.settings import KubernetesSettings

VERSION = 1
"""Of what is kept of a probe; it changes with what is looked at."""
LIFE = 24 * 3600.0
"""Seconds that an answer is believed: nodes come and go."""
TIMEOUT = 300.0
"""Seconds for a pod that does next to nothing, the pull of its image included."""
CALL_TIMEOUT = 30.0
IMAGE = "bash:5.2"
"""Tried where no image is configured; small, with a shell that can open connections."""
POLICY = "botdock-deny-all"
"""The NetworkPolicy that closes the network of every bot; whether the cluster heeds it is for the probe to find out."""
FREE = "probe"
"""The network of the container that is not closed in, to know what could be reached."""
SAID = 300
_HINT = "`kubectl get events` in its namespace shows more; options.kubernetes.probe_image names another image."


@attrs.frozen(kw_only=True)
class Probe:
    """What was found.

    Attributes:
        missing: Each feature that is not enforced, with the reason and what mends it.
        image: What was run for it.
        at: When, in seconds since 1970.
        exact_bytes: Whether the log holds all that a container writes: containerd drops a CR before a newline.
    """

    missing: Mapping[Feature, str]
    image: str
    at: float
    exact_bytes: bool

    def capabilities(self, version: str) -> EngineCapabilities:
        """Return what botdock's users are told of a cluster of that version."""
        return EngineCapabilities(
            engine="kubernetes",
            version=version,
            enforced=frozenset(Feature) - set(self.missing),
            missing=dict(self.missing),
            separate_streams=False,
            exact_bytes=self.exact_bytes,
            keeps_unfollowed_logs=False,  # the kubelet may begin a new file at the end, and serves the newest alone
        )


def server_version(cluster: Cluster) -> str:
    """Return what answers, for people: `Kubernetes v1.32.2`.

    Raises:
        ContainerError: It does not answer.
    """

    async def ask() -> str:
        answer = await cluster.http.get("/version")
        return f"Kubernetes {answer.raise_for_status().json()['gitVersion']}"

    return cluster.call("capabilities", ask, timeout=CALL_TIMEOUT, repeatable=True)


def probe_image(config: Config, settings: KubernetesSettings) -> str:
    """Return the image that is run for a probe: one that bots need anyway, if one is configured."""
    return settings.probe_image or settings.helper_image or next(iter(config.runtime.images.values()), IMAGE)


def probe(
    engine: Engine, cluster: Cluster, settings: KubernetesSettings, *, image: str, home: Path, anew: bool = False
) -> Probe:
    """Return what is enforced; kept in the state folder for a day, unless cluster, policy or settings change.

    Args:
        engine: What runs the containers that are tried: they are what bots get.
        cluster: Where.
        settings: The engine's.
        image: To run for it, with a POSIX shell and one of python3, node, bash and nc.
        home: The engine's folder of the state folder.
        anew: Whether to look again, whatever is kept.

    Raises:
        EngineUnavailableError: The API server does not answer, or the container that is tried does not run.
        ContainerError: It is refused.
    """
    policy = ensure_policy(cluster, timeout=CALL_TIMEOUT)
    facts = [VERSION, cluster.url, cluster.namespace, image, policy, attrs.asdict(settings)]  # those that change it
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    kept = home / f"probe-{key[:16]}.json"
    if not anew:
        with suppress(OSError, ValueError, LookupError, TypeError):
            return _read(json.loads(kept.read_bytes()), key)
    targets = _targets(cluster.url)
    with ThreadPoolExecutor(2) as pool:
        free = pool.submit(_look, engine, image, targets, network=FREE)
        seen = _look(engine, image, targets)
        missing = missing_features(seen, free.result())
    found = Probe(missing=missing, image=image, at=time.time(), exact_bytes=seen.get("newline") == ["\r"])
    _keep(found, kept, key)
    return found


def _targets(url: str) -> str:
    """Return the API server's own address, where that means the same within a pod."""
    parts = urlsplit(url)
    with suppress(ValueError):
        if not ip_address(parts.hostname or "").is_loopback:
            return f"{parts.hostname}:{parts.port or 443}"
    return ""


def _look(engine: Engine, image: str, targets: str, *, network: str = "none") -> Seen:
    """Run the script in a container of that network, and return what it wrote."""
    deadline = time.monotonic() + TIMEOUT
    with TemporaryDirectory(prefix="botdock-kubernetes-") as made:
        only = ("network",) if network == FREE else ()
        template, run = tried(
            Path(made),
            ("/bin/sh", "-c", script_text("probe"), "probe", *only),
            LIMITS,
            name=f"botdock-probe-{secrets.token_hex(6)}",
            image=image,
            environment={"BOTDOCK_TARGETS": targets, "BOTDOCK_PROCESSES": str(PROCESSES)},
            network=network,
        )
        handle = engine.create(template, run, timeout=CALL_TIMEOUT)
        try:
            engine.start(handle, timeout=TIMEOUT)
            status = engine.wait(handle, timeout=max(0.0, deadline - time.monotonic()))
            if status is None:
                words = engine.inspect(handle, timeout=CALL_TIMEOUT).error or "it has not ended"
                raise _unavailable(f"the container that tries the profile did not end within {TIMEOUT:g} s: {words}")
            if status.exit_code != 0:
                log = _log(engine, handle).decode("utf-8", "replace")
                words = " ".join(f"{status.error} {log}".split())[-SAID:]
                raise _unavailable(f"the container that tries the profile failed: {words or status.exit_code}")
            return seen_in(_log(engine, handle))
        finally:
            engine.remove(handle, timeout=CALL_TIMEOUT)


def _log(engine: Engine, handle: ContainerHandle) -> bytes:
    read, deadline = bytearray(), time.monotonic() + CALL_TIMEOUT
    with closing(engine.read_logs(handle, cursor=LogCursor(), follow=True, timeout=CALL_TIMEOUT)) as stream:
        while not stream.ended and time.monotonic() < deadline:
            for chunk in stream.read(1.0):
                read += chunk.data
    return bytes(read)


def _keep(found: Probe, path: Path, key: str) -> None:
    document = {"key": key, **attrs.asdict(found)}
    with suppress(OSError):  # then the next one looks again
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
        draft.write_text(json.dumps(document), encoding="utf-8")
        draft.replace(path)


def _read(document: Mapping[str, Any], key: str) -> Probe:
    if document["key"] != key or not 0 <= time.time() - document["at"] < LIFE:
        raise ValueError("it was something else that was looked at, or too long ago")
    missing = {Feature(name): str(reason) for name, reason in document["missing"].items()}
    return Probe(
        missing=missing, image=document["image"], at=document["at"], exact_bytes=document["exact_bytes"] is True
    )


def _unavailable(message: str) -> EngineUnavailableError:
    return EngineUnavailableError(message, engine="kubernetes", operation="capabilities", hint=_HINT)


def deny_all() -> NetworkPolicy:
    """Return the policy: of the pods of network `none`, nothing comes in and nothing goes out."""
    return NetworkPolicy(
        metadata=ObjectMeta(name=POLICY, labels={"app.kubernetes.io/managed-by": "botdock"}),
        spec=NetworkPolicySpec(
            podSelector=LabelSelector(matchLabels={LABEL_NETWORK: "none"}), policyTypes=["Ingress", "Egress"]
        ),
    )


def ensure_policy(cluster: Cluster, *, timeout: float) -> str:
    """Make the policy where it is missing; return what names this wording of it, empty where it may not be seen.

    Where the account has no right to make it, an operator may have, or not: the probe tells.

    Raises:
        ContainerError: The API server does not answer, or there is no such namespace.
    """
    return cluster.call("capabilities", lambda: _ensure(cluster), timeout=timeout, repeatable=True)


async def _ensure(cluster: Cluster) -> str:
    try:
        found = await cluster.client.get(NetworkPolicy, POLICY)
    except ApiError as error:
        if error.status.code == HTTPStatus.FORBIDDEN:
            return ""
        if error.status.code != HTTPStatus.NOT_FOUND:
            raise
        try:
            found = await cluster.client.create(deny_all())
        except ApiError as refused:
            if refused.status.code in {HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT}:
                return ""
            raise
    metadata = found.metadata or ObjectMeta()
    return f"{metadata.uid} {metadata.generation}"
