"""One cluster: its address, and the thread that all calls, the watch and the log streams share."""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from http import HTTPStatus
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx2
import yaml
from lightkube import AsyncClient, KubeConfig
from lightkube.config.client_adapter import ConnectionParams
from lightkube.core.exceptions import ConfigError as KubeconfigError

from botdock.errors import ConfigError, EngineUnavailableError
from botdock_engine_kubernetes.errors import FOREIGN, Call, code_of, is_cut, reason_of, translate

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig

    from botdock_engine_kubernetes.settings import KubernetesSettings

T = TypeVar("T")

BURST = 2.0
"""Seconds' worth of requests that may be sent at once after a pause."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts; each pause is twice the one before, and taken at random from half of it on."""
FARTHEST_RETRY_AFTER = 30.0
"""Seconds that the API server may ask to wait."""
CUT_ATTEMPTS = 4
"""How often a call is sent whose connection breaks."""
LAST_WAIT = 5.0
"""Seconds for what still runs in the thread when it is closed."""
_SLACK = 5.0
"""Seconds more for a call's own timeout to be told."""


class Cluster:
    """A cluster and one namespace of it. All methods may be called from several threads.

    Attributes:
        namespace: Where the Jobs are.
        url: Of the API server.
        client: For objects; its coroutines run in `call` and `spawn` alone.
        http: The same address and credentials, for raw bodies; it has a connection for each that is open.
    """

    def __init__(self, config: SingleConfig, settings: KubernetesSettings, **client: Any) -> None:
        self.namespace = settings.namespace or config.namespace
        self.url = config.cluster.server
        self._config = config
        self._timeout = httpx2.Timeout(10.0, connect=settings.connect_timeout, read=None, pool=None)
        self._given = client
        self._pace = _Pace(settings.requests_per_second)
        self._starting = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open()

    def _open(self) -> None:
        """Make the clients, which belong to one loop."""
        given = self._given
        self.client = AsyncClient(config=self._config, namespace=self.namespace, timeout=self._timeout, **given)
        params = ConnectionParams(timeout=self._timeout, **given).httpx_params(self._config)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=8)
        self.http = httpx2.AsyncClient(**params, limits=limits)
        lightkubes: httpx2.AsyncClient = self.client._client._client  # noqa: SLF001 - lightkube has no other way to it
        for one in (self.http, lightkubes):
            one.event_hooks = {"request": [_close_what_does_not_shake_hands]}
        self._is_closed = False

    @classmethod
    def connect(cls, settings: KubernetesSettings) -> Self:
        """Return the cluster that the settings name; nothing is sent before the first call.

        Raises:
            ConfigError: The kubeconfig cannot be read, or lacks what is named.
        """
        return cls(_read(settings), settings)

    def call(
        self,
        operation: str,
        make: Callable[[], Awaitable[T]],
        *,
        timeout: float,
        container_id: str = "",
        repeatable: bool = False,
    ) -> T:
        """Run a coroutine in the thread of the loop, and return what it returns.

        The API server's "not now" (429, 503) is obeyed, and the call sent again, within the timeout.

        Args:
            operation: The method of `Engine`, for messages.
            make: Returns the coroutine, anew for each attempt.
            timeout: Seconds for all of it.
            container_id: The container it is about: then a 404 means that this is not there.
            repeatable: Whether it may be sent again where the connection broke, or two changes met.

        Raises:
            ContainerError: Of the kind that says what went wrong.
        """
        call = Call(operation=operation, url=self.url, timeout=timeout, container_id=container_id)

        async def attempts() -> T:
            async with asyncio.timeout(timeout):
                return await self.send(make, repeatable=repeatable)

        future = self.spawn(attempts)
        try:
            return future.result(timeout + _SLACK)
        except FOREIGN as error:
            future.cancel()
            raise translate(error, call) from error
        except concurrent.futures.CancelledError as error:
            raise call.error(EngineUnavailableError, "the engine was closed meanwhile") from error

    def spawn(self, make: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the loop: a stream, a watch. Cancelling what is returned cancels it."""
        loop = self._running()
        return asyncio.run_coroutine_threadsafe(make(), loop)

    async def send(self, make: Callable[[], Awaitable[T]], *, repeatable: bool = True) -> T:
        """Send one request from within the loop: paced, and again where the API server says "not now".

        Raises:
            httpx2.HTTPError: As the client raises it.
        """
        attempt = 0
        while True:
            await self._pace.turn()
            try:
                return await make()
            except httpx2.HTTPError as error:
                attempt += 1
                if not _may_repeat(error, attempt, repeatable=repeatable):
                    raise
                await asyncio.sleep(_pause(error, attempt))

    def close(self) -> None:
        """End the thread, and what runs in it; a later call begins another. Never raises, and may be called twice."""
        with self._starting:
            self._is_closed, loop, self._loop = True, self._loop, None
        if loop is None:
            return
        with suppress(Exception):  # a connection that breaks while it is closed is closed
            asyncio.run_coroutine_threadsafe(self._end(), loop).result(LAST_WAIT)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.close()
        await self.http.aclose()
        await asyncio.get_running_loop().shutdown_asyncgens()
        _cut_all(asyncio.get_running_loop())

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._is_closed:
                self._open()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                Thread(target=_run, args=(self._loop,), name="botdock-kubernetes", daemon=True).start()
            return self._loop


async def _close_what_does_not_shake_hands(request: httpx2.Request) -> None:
    """Close the connection of a request that is cancelled during the TLS handshake: httpcore leaves it open."""
    connection: Any = None

    async def trace(event: str, known: Mapping[str, Any]) -> None:
        nonlocal connection
        if event == "connection.connect_tcp.complete":
            connection = known["return_value"]
        elif event == "connection.start_tls.failed":
            await connection.aclose()

    request.extensions["trace"] = trace


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        _cut_all(loop)  # also where the end was late: a TLS connection may take long to close
        loop.call_soon(loop.stop)
        loop.run_forever()  # one turn more, in which they close
        loop.close()


def _cut_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cut what is open. asyncio has no public list."""
    for transport in list(getattr(loop, "_transports", {}).values()):
        transport.abort()


def _read(settings: KubernetesSettings) -> SingleConfig:
    try:
        found = KubeConfig.from_file(settings.kubeconfig) if settings.kubeconfig else KubeConfig.from_env()
        config = found.get(settings.context or None)
    except (KubeconfigError, yaml.YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        name = settings.kubeconfig or "KUBECONFIG, ~/.kube/config or the pod's service account"
        raise ConfigError([f"options.kubernetes.kubeconfig: no cluster in {name}: {error}"]) from error
    if config is None or config.user is None:
        raise ConfigError(["options.kubernetes.context: the kubeconfig's context has no user"])
    return config


class _Pace:
    """Lets so many requests a second pass, and bursts of `BURST` seconds' worth."""

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until one more request may be sent."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now - BURST) + self._step
        if self._next > now:
            await asyncio.sleep(self._next - now)


def _may_repeat(error: httpx2.HTTPError, attempt: int, *, repeatable: bool) -> bool:
    code = code_of(error)
    if code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return True  # it was not carried out, and the call's own timeout bounds the attempts
    if code == HTTPStatus.CONFLICT:
        return repeatable and reason_of(error) != "AlreadyExists"
    was_not_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
    return (repeatable or was_not_sent) and is_cut(error) and attempt < CUT_ATTEMPTS


def _pause(error: httpx2.HTTPError, attempt: int) -> float:
    """Return the seconds until the next attempt: what the API server asks for, else more and more."""
    pause = min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE)
    if isinstance(error, httpx2.HTTPStatusError):
        with suppress(ValueError, KeyError, AttributeError):  # none, not a number of seconds, or an error of a watch
            asked = float(error.response.headers["Retry-After"])
            return min(asked, FARTHEST_RETRY_AFTER) + random.uniform(0, pause)  # noqa: S311 - jitter, not a secret
    return pause * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
