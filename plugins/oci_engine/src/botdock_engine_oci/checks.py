"""What `botdock doctor` says of this engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from botdock import Check
from botdock.errors import BotdockError
from botdock_engine_oci.fetching import TOOLS, install_hint, missing_tools
from botdock_engine_oci.ids import Users, find_users
from botdock_engine_oci.probing import Probe, probe
from botdock_engine_oci.rootfs import describe, find_interpreter
from botdock_engine_oci.runtimes import cgroup_version
from botdock_engine_oci.settings import HOST, OciSettings

if TYPE_CHECKING:
    from botdock.config import Config

INTERPRETERS = ("python3", "node", "bash")
"""Of the bundled runtimes."""


def checks(config: Config) -> Iterable[Check]:
    """Look at the machine and yield what was found; never raises."""
    try:
        settings = config.options_for("oci", OciSettings)
        found = probe(config.home_dir / "oci", settings)
    except BotdockError as error:
        return [Check.failed("oci.runtime", error.message, error.hint or "")]
    return list(_examine(found, settings, find_users(settings.user_range)))


def _examine(found: Probe, settings: OciSettings, users: Users) -> Iterator[Check]:
    others = "".join(f"; {name} does not work here: {words}" for name, words in found.others.items())
    runtime = f"{found.runtime} at {found.runtime.path}, cgroup v{cgroup_version()}{others}"
    yield Check.ok("oci.runtime", runtime)
    for feature, reason in found.missing.items():
        yield Check.failed(f"oci.{feature.value}", reason)
    if not found.missing:
        yield Check.ok("oci.isolation", "a container that was tried was held to the whole strict profile")
    yield Check.ok("oci.users", _users(users))
    yield Check.ok("oci.rootfs", f"bots see the programs of {describe(settings.rootfs)}, read-only")
    if settings.has_images:
        yield _tools()
    for name in INTERPRETERS if settings.rootfs == HOST else ():
        if find_interpreter(name) is None:
            detail = f"{name} is not among the programs that bots are shown, so bots that need it do not run"
            yield Check.warning(f"oci.{name}", detail, f"Install {name} in /usr or /opt.")


def _tools() -> Check:
    if missing := missing_tools():
        verb = "is" if len(missing) == 1 else "are"
        detail = f"{' and '.join(missing)} {verb} not installed, so no image can be fetched"
        return Check.failed("oci.images", detail, install_hint(missing))
    return Check.ok("oci.images", f"{' fetches and '.join(TOOLS)} unpacks the images of bots")


def _users(users: Users) -> str:
    if not users.ids:
        return "bots run as you, in a user namespace each"
    kind = "of this machine" if users.own is None else "of your subordinate ones, in a user namespace each"
    return f"each bot has a user id of its own, {kind}: {users.ids[0]} to {users.ids[-1]}"
