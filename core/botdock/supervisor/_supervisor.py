"""The supervisor: it has the seat of a state folder, watches, and goes when it is asked to."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from botdock._log import logger
from botdock.config import Config, Policies, load
from botdock.errors import BotdockError, UserError
from botdock.executions._files import request_ids
from botdock.factory import ServiceFactory
from botdock.orchestrator import BotOrchestrator
from botdock.plugin_manager import PluginManager
from botdock.services.metrics import MetricsService
from botdock.supervisor._keeper import Keeper
from botdock.supervisor._seat import Bell, is_taken, seated
from botdock.supervisor._watch import Watch
from botdock.supervisor._work import Work

_LINGER = 5.0
"""Seconds that a supervisor on demand stays for the next request."""
_MICROSECONDS = 1e6


class ServiceManager:
    """The service manager that started us, if one did, told by the protocol of systemd's sd_notify(3), `Type=notify`.

    What cannot be told to it is not told.
    """

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")  # what we start is not the service
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        given = os.environ.pop("WATCHDOG_USEC", "")
        self._interval = int(given) / _MICROSECONDS / 3 if given.isdigit() and ours else None
        self._told = float("-inf")
        self._status = ""

    def tell(self, *states: str) -> None:
        """Send states such as `READY=1`."""
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0.0)
                sender.sendto("\n".join(states).encode(), self._address)

    def tell_status(self, text: str) -> None:
        """Say in a line what is done, where it has changed."""
        if text != self._status:
            self._status = text
            self.tell(f"STATUS={text}")

    def live(self) -> None:
        """Say that we are alive, as often as the service manager wants to hear it."""
        if self._interval is not None and time.monotonic() - self._told >= self._interval:
            self._told = time.monotonic()
            self.tell("WATCHDOG=1")


class SupervisorRunsError(UserError):
    """Another supervisor has this state folder."""


class Supervisor:
    """Watches over the executions that `submit` has asked for.

    Args:
        config_file: The configuration; None means the usual places.
        overrides: What is changed in it, nested like the file.
        on_demand: Whether it ends by itself once nothing is left to watch.

    Raises:
        ConfigError: The configuration is wrong.
        PolicyError: It sets more than an operator's file allows.
    """

    def __init__(
        self,
        config_file: str | os.PathLike[str] | None = None,
        *,
        overrides: Mapping[str, Any] | None = None,
        on_demand: bool = False,
    ) -> None:
        self._config_file = config_file
        self._overrides = dict(overrides or {})
        self._config, self._plugins = self._load({})
        Policies.of(self._config)
        self.home: Path = self._config.checked_home(make=True)
        self._on_demand = on_demand
        self._manager = ServiceManager()
        self._bell: Bell | None = None
        self._leaving = False
        self._metrics: MetricsService | None = None
        self._counting = threading.Lock()

    def _load(self, overrides: Mapping[str, Any]) -> tuple[Config, PluginManager]:
        return load(Config, self._config_file, os.environ, {**self._overrides, **overrides}, None)

    def _open(self, overrides: Mapping[str, Any]) -> BotOrchestrator:
        return ServiceFactory(*self._load(overrides), metrics=self._shared_metrics()).create_orchestrator()

    def _shared_metrics(self) -> MetricsService:
        """Return what counts for all runners: an exporter's port is had once, and shows all that runs here."""
        with self._counting:
            if self._metrics is None:
                metrics = ServiceFactory(self._config, self._plugins).create_metrics_service()
                metrics.start()
                self._metrics = metrics
            return self._metrics

    def _close_metrics(self) -> None:
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            metrics.close()

    def hand_over(self) -> None:
        """Let `run` return soon; bots run on, and the next supervisor goes on with them. For signal handlers, too."""
        self._leaving = True
        self._ring()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()

    def run(self, *, replace: bool = False, patience: float = 120.0) -> None:
        """Supervise, until `hand_over`, another one that replaces this, or, on demand, until nothing is left.

        Args:
            replace: Whether to ask a supervisor that lives to hand over, and to wait for that.
            patience: Seconds to wait for it, at most.

        Raises:
            SupervisorRunsError: Another one lives.
            BotdockError: The state folder cannot be written.
        """
        hint = "It has not handed over in time." if replace else "`--replace` asks it to hand over."
        while True:
            with seated(self.home, replace=replace, patience=patience) as bell:
                if bell is None:
                    raise SupervisorRunsError(f"a supervisor of {self.home} runs already", hint=hint)
                self._bell = bell
                left_undone = self._watch(bell)
            # what was asked for when the seat was just being left must not wait for long
            if self._leaving or set(request_ids(self.home)) <= left_undone or is_taken(self.home):
                return

    def _watch(self, bell: Bell) -> set[str]:
        """Watch until it is over; return what could not be done until then."""
        logger.bind(home=str(self.home), pid=os.getpid()).info("the supervisor begins")
        keeper = self._keeper()
        work = Work(self.home, self._open, self._ring)
        watch = Watch(self.home, self._config, work=work, keeper=keeper)
        try:
            with suppress(BotdockError):  # each execution says so
                self._shared_metrics()
            watch.begin()
            work.keep_warm(self._config)
            self._manager.tell("READY=1")
            while not self._leaving:
                bell.keep()
                pause = watch.turn()
                self._manager.live()
                self._manager.tell_status(watch.status)
                if self._on_demand and watch.idle_for > _LINGER:
                    break
                self._leaving = bell.wait(pause) or self._leaving
        finally:
            self._manager.tell("STOPPING=1")
            watch.close()
            self._close_metrics()
            keeper.close()
            logger.bind(status=watch.status).info("the supervisor ends")
        return watch.put_off

    def _keeper(self) -> Keeper:
        return Keeper(self._config, home=self.home, hook=self._plugins.notify)
