"""Asking a supervisor to run something, and starting one where none lives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from botdock.config import Config, load
from botdock.config.locations import POLICY_VARIABLE, PREFIX
from botdock.errors import ExecutableError, StorageUnavailableError, UserError
from botdock.executions import ExecutionRecord, Executions
from botdock.executions._queue import submit as queue
from botdock.executions._requests import Request, Restart
from botdock.factory import BaseFactory
from botdock.model import Executable, new_execution_id
from botdock.orchestrator.plan import bounds_of
from botdock.plugin_manager import PluginManager
from botdock.services.code.manifest import read_manifest
from botdock.services.code.sources import local_path
from botdock.supervisor._seat import is_taken, ring

_SHARED = {"metrics", "notify", "supervisor"}
"""Sections of the configuration that hold for all executions together."""
LOG = "supervisor.log"
"""The file of the state folder in which a supervisor on demand says what it has to say."""


def submit(
    executable: Executable,
    *,
    config_file: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    spawn: bool = True,
) -> ExecutionRecord:
    """Ask the supervisor to run something, and return at once.

    The request is on disk when this returns: should no supervisor live then, or should it die, the next one takes it.
    It runs with the supervisor's configuration, and the changes that are given here. Follow it by the id of the record
    with `botdock.executions.Executions`, from any process.

    Args:
        executable: What to run; a relative path of code is that of this process.
        config_file: As for `Config.load`; also of the supervisor, if one is started.
        overrides: What is changed in the configuration for this execution, nested like its file.
        spawn: Whether to start a supervisor in the background where none lives.

    Raises:
        UserError: It cannot be run as it was asked for, or too many wait already.
        ConfigError: The configuration is wrong.
        BotdockError: The state folder cannot be written.

    Example:
        ```python
        from botdock import Executable
        from botdock.executions import Executions
        from botdock.supervisor import submit

        record = submit(Executable(id="sma", file_path="examples/hello-python"), overrides={"engine": "process"})
        print(Executions().wait(record.execution_id).outcome)
        ```
    """
    config, plugins = load(Config, config_file, os.environ, overrides or {}, executable.file_path or None)
    home = config.checked_home(make=True)
    if shared := _SHARED & (overrides or {}).keys():
        raise UserError(
            f"{min(shared)}.* cannot be changed for one execution: it is the supervisor's, for all that it runs",
            hint="Change it in the configuration of the supervisor, and start that anew.",
        )
    wanted = _checked(executable, config, plugins)
    changes = {**(overrides or {}), **named_in(config)}
    changes.pop("home", None)
    request = Request(
        execution_id=new_execution_id(),
        executable=wanted,
        overrides=changes,
        restart=Restart(),
        engine=config.engine,
        storage=config.storage,
    )
    queue(home, request, most=config.supervisor.queue)
    if spawn and not is_taken(home):
        own = {*plugins.sections.variables(), *(name for name in os.environ if name.startswith(PREFIX))}
        _spawn(home, config_file, without=wanted.secrets.keys() - own)
    ring(home)
    return Executions(home).get(request.execution_id)


def named_in(config: Config) -> dict[str, Any]:
    """Return what each request names, as its supervisor may have it otherwise."""
    named = {"engine": config.engine, "storage": config.storage}
    return {key: value for key, value in named.items() if value}


def _checked(executable: Executable, config: Config, plugins: PluginManager) -> Executable:
    """Refuse what can be refused without an engine; return it with the path of its code as another process finds it."""
    if not executable.file_path and not executable.code:
        raise ExecutableError(["file_path: names no code; give a folder, an archive, or a key of the storage"])
    factory = BaseFactory(config, plugins)
    policies = factory.policies
    bounds_of(executable, config, policies, defaults=config.runtime.limits)
    if config.engine:
        policies.check_engine(plugins.engine(config.engine).name)
    _check_names(executable, factory)
    if executable.code:
        policies.check_local_code(f"code at {executable.file_path!r} is given as bytes")
        return executable
    found = local_path(executable.file_path) if not policies.only_storage else None
    if found is not None:
        if found[1]:  # what it says in an archive is seen when that is unpacked
            read_manifest(found[0])
        return attrs.evolve(executable, file_path=str(found[0]))
    code = factory.create_code_service()
    code.check_location(executable.file_path, ask_storage=False)
    with suppress(StorageUnavailableError):  # it may answer when the code is wanted
        code.check_location(executable.file_path, ask_storage=True)
    return executable


def _check_names(executable: Executable, factory: BaseFactory) -> None:
    """Refuse a runtime, or an image, that is not there or not allowed; each runtime's own module is imported for it."""
    if executable.runtime is None and executable.image is None:
        return
    entrypoints = factory.create_entrypoint_manager()
    if executable.runtime is not None:
        factory.policies.check_runtime(entrypoints.validate_runtime(executable.runtime))
    if executable.image is not None:
        entrypoints.get_allowed_image(executable.image)


def _spawn(home: Path, config_file: str | os.PathLike[str] | None, *, without: AbstractSet[str]) -> None:
    """Start a supervisor that ends once nothing is left to watch; of two that are started at once, one stays.

    It keeps our environment as long as it lives, and hands it to what it starts: so `without` the bot's secrets.
    """
    command = [sys.executable, "-P", "-m", "botdock.supervisor", str(home)]
    if config_file is not None:
        command.append(os.path.abspath(config_file))  # noqa: PTH100 - `resolve` would follow links
    descriptor = os.open(home / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    environment = {name: value for name, value in os.environ.items() if name not in {"NOTIFY_SOCKET", *without}}
    if named := environment.get(POLICY_VARIABLE):
        environment[POLICY_VARIABLE] = os.path.abspath(named)  # noqa: PTH100 - as above
    try:
        subprocess.Popen(
            command,
            cwd=home,
            env={**environment, "BOTDOCK_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
