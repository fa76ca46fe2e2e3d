"""The sections of the configuration, with their defaults."""

from __future__ import annotations

from typing import Any

import attrs

from botdock.config import rules
from botdock.config.rules import Section, setting, spelling
from botdock.model.container import PullPolicy
from botdock.model.execution import Outcome
from botdock.model.limits import DEFAULT_LIMITS, GIB, KIB, MIB, Limits
from botdock.model.notification import NotificationKind
from botdock.model.units import Bytes, Seconds

TIMES = ("timeout", "start_timeout", "silence_timeout")
"""The times that an execution can be bounded by; `policy.max_<time>` bounds each."""
_EVENTS = tuple(kind.value for kind in NotificationKind)
_FAILURES = tuple(outcome.value for outcome in Outcome if outcome not in {Outcome.SUCCEEDED, Outcome.STOPPED})


@attrs.frozen(kw_only=True)
class LoggingConfig(Section):
    """What is done with the bots' output.

    Attributes:
        sinks: Names of log sinks that get every line.
        sink_queue: Lines that wait for a slow sink before lines are dropped and counted.
        output_tail: Bytes of the end of the log that `ExecutionResult.output` holds; as many are kept of the end of a
            log that went over its output limit.
        drain_timeout: For how long, after a container's end, nothing of the rest of its log may come.
        segment_bytes: Bytes of both streams after which a log goes on in new files.
        compress: Whether files that the log no longer goes on in are compressed (gzip); the newest never are.
        sync_interval: How long what was stored may take to be safe from a power cut.
    """

    sinks: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    sink_queue: int = attrs.field(default=10_000, validator=rules.COUNT)
    output_tail: Bytes = attrs.field(default=64 * 1024, validator=rules.COUNT_OR_NONE)
    drain_timeout: Seconds = attrs.field(default=10.0, validator=rules.WAIT_OR_NONE)
    segment_bytes: Bytes = attrs.field(default=64 * MIB, validator=rules.number(4 * KIB, 1024 * GIB))
    compress: bool = True
    sync_interval: Seconds = attrs.field(default=1.0, validator=rules.WAIT)


@attrs.frozen(kw_only=True)
class MetricsConfig(Section):
    """What is done with botdock's own metrics.

    Attributes:
        exporters: Names of exporters that are told after each execution.
        interval: How long what was counted meanwhile, such as by a bot that runs for days, may take to reach them.
    """

    exporters: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    interval: Seconds = attrs.field(default=10.0, validator=rules.WAIT)


@attrs.frozen(kw_only=True)
class RuntimeConfig(Section):
    """Defaults of every execution.

    Attributes:
        images: Image per runtime, in place of the runtime's own default.
        limits: What an execution may use when it says nothing; what is None becomes `DEFAULT_LIMITS`' value.
        timeout: Wall time of a run that is not long-running.
        start_timeout: From the start of a container to its first output; 0 means unbounded.
        silence_timeout: The longest time without output; 0 means unbounded.
        grace: Between SIGTERM and SIGKILL.
        network: Network of an execution that names none.
    """

    images: dict[str, str] = attrs.field(factory=dict, validator=rules.MAPPING)
    limits: Limits = DEFAULT_LIMITS
    timeout: Seconds = attrs.field(default=3600.0, validator=rules.WAIT)
    start_timeout: Seconds = attrs.field(default=0.0, validator=rules.WAIT_OR_NONE)
    silence_timeout: Seconds = attrs.field(default=0.0, validator=rules.WAIT_OR_NONE)
    grace: Seconds = attrs.field(default=10.0, validator=rules.WAIT_OR_NONE)
    network: str = attrs.field(default="none", validator=rules.NAME)

    def __attrs_post_init__(self) -> None:
        """Check every field, and complete the limits."""
        super().__attrs_post_init__()
        object.__setattr__(self, "limits", self.limits.over(DEFAULT_LIMITS))


@attrs.frozen(kw_only=True)
class ContainersConfig(Section):
    """How patiently the engine is spoken to.

    Attributes:
        pull: When images are pulled.
        pull_timeout: For an image to come: the wait for another runner that pulls it and all attempts together.
        pull_silence: For how long nothing of a pull may move before it is given up, and tried again.
        call_timeout: For any other single call.
        retries: How often a call that failed for a transient reason is tried again.
        reconnect_timeout: How long an engine may be away while a bot runs before the execution is given up.
    """

    pull: PullPolicy = PullPolicy.MISSING
    pull_timeout: Seconds = attrs.field(default=900.0, validator=rules.WAIT)
    pull_silence: Seconds = attrs.field(default=120.0, validator=rules.WAIT)
    call_timeout: Seconds = attrs.field(default=60.0, validator=rules.WAIT)
    retries: int = attrs.field(default=2, validator=rules.number(0, 100))
    reconnect_timeout: Seconds = attrs.field(default=15.0, validator=rules.WAIT_OR_NONE)


@attrs.frozen(kw_only=True)
class CodeConfig(Section):
    """How large a code archive may be, and how many unpacked ones are kept.

    Attributes:
        total_bytes: Bytes unpacked.
        entries: Files, folders and links.
        file_bytes: Bytes of one file.
        ratio: Unpacked bytes per packed byte, checked once 1 MiB has come out.
        depth: Nested folders.
        name_bytes: Bytes of one whole name.
        cache_bytes: Bytes that unpacked archives may take below `cache/` of the state folder, each file rounded up to
            4 KiB; what was used longest ago goes first, and what is in use stays. 0 means that nothing is kept.
    """

    total_bytes: Bytes = attrs.field(default=1 * GIB, validator=rules.COUNT)
    entries: int = attrs.field(default=100_000, validator=rules.COUNT)
    file_bytes: Bytes = attrs.field(default=512 * MIB, validator=rules.COUNT)
    ratio: int = attrs.field(default=200, validator=rules.COUNT)
    depth: int = attrs.field(default=64, validator=rules.COUNT)
    name_bytes: int = attrs.field(default=1024, validator=rules.COUNT)
    cache_bytes: Bytes = attrs.field(default=2 * GIB, validator=rules.COUNT_OR_NONE)


@attrs.frozen(kw_only=True)
class OutboxConfig(Section):
    """What waits on this disk for the storage: results and logs that are to be kept.

    Attributes:
        max_bytes: Bytes that may wait; beyond that the oldest logs are dropped, and results last.
        max_items: How many objects may wait.
        retry_interval: Longest pause between two attempts to reach a storage that is away.
        drain_timeout: How long closing a runner waits for what can be delivered at once; the rest is left to the next.
    """

    max_bytes: Bytes = attrs.field(default=1 * GIB, validator=rules.COUNT)
    max_items: int = attrs.field(default=10_000, validator=rules.COUNT)
    retry_interval: Seconds = attrs.field(default=30.0, validator=rules.WAIT)
    drain_timeout: Seconds = attrs.field(default=10.0, validator=rules.WAIT_OR_NONE)


@attrs.frozen(kw_only=True)
class RetentionConfig(Section):
    """What is old, so that a runner removes it by itself, and `botdock gc` too.

    Executions that have ended go with their logs and results; what the storage was given stays there.

    Attributes:
        older_than: Those that ended so long ago; 0 means none for its age.
        keep: All but so many of the newest; 0 means any number is kept.
        bytes: The oldest, until the rest fits into so many bytes; 0 means unbounded.
        caches: Unpacked code and programs of runtimes that no execution has used for so long; 0 means that they stay,
            code within `code.cache_bytes`.
        images: Images that botdock pulled and that no execution has used for so long; 0 means that they stay. Others,
            and those that a container uses, are never removed.
    """

    older_than: Seconds = attrs.field(default=0.0, validator=rules.WAIT_OR_NONE)
    keep: int = attrs.field(default=0, validator=rules.COUNT_OR_NONE)
    bytes: Bytes = attrs.field(default=0, validator=rules.COUNT_OR_NONE)
    caches: Seconds = attrs.field(default=30 * 86_400.0, validator=rules.WAIT_OR_NONE)
    images: Seconds = attrs.field(default=0.0, validator=rules.WAIT_OR_NONE)

    def bounds(self) -> dict[str, Any]:
        """Return what is old, as `ServiceFactory.remove_old` takes it: what is kept for ever is empty or None."""
        given = {"older_than": self.older_than, "keep": self.keep, "max_bytes": self.bytes}
        executions = {name: bound for name, bound in given.items() if bound}
        return {"executions": executions, "caches": self.caches or None, "images": self.images or None}


@attrs.frozen(kw_only=True)
class Policy(Section):
    """What the operator allows; callers can loosen nothing beyond it.

    Attributes:
        networks: Networks an execution may name.
        max_limits: Upper bounds of what callers and the configuration's defaults may give; None means unbounded.
        max_timeout: Upper bound of the wall time; 0 means unbounded, and it binds long-running ones too.
        max_start_timeout: Upper bound of the time from the start to the first output; 0 means unbounded.
        max_silence_timeout: Upper bound of the time without output; 0 means unbounded.
        engines: Engines that may be used; empty means any.
        runtimes: Runtimes that may be used; empty means any.
        images: Patterns of the images that an execution or a manifest may name, beside those of the runtimes.
        local_code: Whether code may be a folder, archive or bytes of this machine; without, only what the storage has.
        variables: Patterns, such as `APP_*`, of the names that an executable's variables and secrets may have.
        refused_variables: Patterns of those that they may not have, whatever `variables` says.
        loader_variables: Which of LD_PRELOAD and LD_AUDIT an executable may set.
        max_restart: The most that callers may ask for of restarts: `no`, `on-failure`, `on-failure:5` or `always`.
        manifest_restart: The most that a bot's manifest gets of restarts where its caller says nothing.
        unenforced: By engine, the features of the strict profile that it may lack: `{"docker": ("swap",)}`; see
            `botdock doctor`.
    """

    networks: tuple[str, ...] = attrs.field(default=("none",), validator=rules.NAMES)
    max_limits: Limits = attrs.field(factory=Limits)
    max_timeout: Seconds = attrs.field(default=0.0, validator=rules.WAIT_OR_NONE)
    max_start_timeout: Seconds = attrs.field(default=0.0, validator=rules.WAIT_OR_NONE)
    max_silence_timeout: Seconds = attrs.field(default=0.0, validator=rules.WAIT_OR_NONE)
    engines: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    runtimes: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    images: tuple[str, ...] = attrs.field(default=(), validator=rules.IMAGES)
    local_code: bool = True
    variables: tuple[str, ...] = attrs.field(default=("*",), validator=rules.NAMES)
    refused_variables: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    loader_variables: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    max_restart: str = attrs.field(default="always", validator=rules.RESTART)
    manifest_restart: str = attrs.field(default="on-failure:3", validator=rules.RESTART)
    unenforced: dict[str, tuple[str, ...]] = attrs.field(factory=dict, validator=rules.UNENFORCED)

    def ceilings(self) -> dict[str, tuple[str, float]]:
        """Return the upper bounds that are set: by the name of the limit or time, the setting and its value."""
        times = {name: (f"max_{name}", getattr(self, f"max_{name}")) for name in TIMES}
        limits = {name: (f"max_limits.{name}", value) for name, value in self.max_limits.given().items()}
        return limits | {name: (setting, value) for name, (setting, value) in times.items() if value}

    def unenforced_on(self, engine: str) -> tuple[str, ...]:
        """Return the features that an engine may lack."""
        return next((names for name, names in self.unenforced.items() if spelling(name) == spelling(engine)), ())


@attrs.frozen(kw_only=True)
class SupervisorConfig(Section):
    """How many bots the supervisor runs, and how soon it starts one again that has ended.

    Attributes:
        parallel: Executions that run at once, at most.
        queue: Executions that wait for their turn, at most; one more is refused.
        backoff: Pause before the first restart; it doubles with each further one in a row.
        max_backoff: Longest pause between two restarts in a row.
        stable: A bot that ran so long is well again: its next restart counts, and pauses, as the first one.
    """

    parallel: int = attrs.field(default=100, validator=rules.COUNT)
    queue: int = attrs.field(default=1000, validator=rules.COUNT_OR_NONE)
    backoff: Seconds = attrs.field(default=1.0, validator=rules.WAIT)
    max_backoff: Seconds = attrs.field(default=300.0, validator=rules.WAIT)
    stable: Seconds = attrs.field(default=600.0, validator=rules.WAIT)


@attrs.frozen(kw_only=True)
class NotifyConfig(Section):
    """Whom the supervisor tells of what an operator should know.

    Attributes:
        command: A program and its arguments, which gets each event as JSON on stdin; empty for none.
        webhook: An http or https address that gets each event as JSON by POST; empty for none.
        events: What is told: `outcome`, `crash_loop`, `recovered`, `disk_low`.
        outcomes: Of which outcomes `outcome` tells.
        interval: Events of one kind of one bot are told so far apart at least; those between are counted in the next.
        timeout: How long a command or one call of a webhook may take.
        free_bytes: `disk_low` comes when the disk of the state folder has fewer bytes free; 0 for never.
    """

    command: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    webhook: str = setting("", rule=rules.WEBHOOK, secret=True)
    events: tuple[str, ...] = attrs.field(default=_EVENTS, validator=rules.one_of(_EVENTS, "an event"))
    outcomes: tuple[str, ...] = attrs.field(default=_FAILURES, validator=rules.one_of(Outcome, "an outcome"))
    interval: Seconds = attrs.field(default=60.0, validator=rules.WAIT_OR_NONE)
    timeout: Seconds = attrs.field(default=10.0, validator=rules.WAIT)
    free_bytes: Bytes = attrs.field(default=1 * GIB, validator=rules.COUNT_OR_NONE)


@attrs.frozen(kw_only=True)
class PluginsConfig(Section):
    """Which plugins are loaded.

    Attributes:
        allowed: Distributions or entry-point names; empty means all.
        blocked: The same, never loaded.
        prefer: For a name that two distributions register, which wins: `"runtime:bash" = "my-distribution"`.
    """

    allowed: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    blocked: tuple[str, ...] = attrs.field(default=(), validator=rules.NAMES)
    prefer: dict[str, str] = attrs.field(factory=dict, validator=rules.MAPPING)


@attrs.frozen(kw_only=True)
class Features(Section):
    """Feature flags; looked at in one place, the factory.

    Attributes:
        log_sinks: Whether lines go to the configured sinks.
        metrics: Whether what is counted goes to the configured exporters and into the state folder.
        persistence: Whether results and logs of executables that ask for it go to the storage.
    """

    log_sinks: bool = True
    metrics: bool = True
    persistence: bool = True
