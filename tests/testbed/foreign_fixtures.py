"""A Docker that sees none of our files, as pytest fixtures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.console import TestbedError
from testbed.fixtures import provide_images, shown, unavailable

if TYPE_CHECKING:
    from testbed.foreign import ForeignDaemon
    from testbed.sshd import PrivateSshd
    from testbed.tcp_proxy import TcpProxy


@pytest.fixture(scope="module")
def foreign_daemon(pytestconfig: pytest.Config) -> Iterator[ForeignDaemon]:
    """A private daemon with the images that sees neither the worktree nor temporary files, as on another machine."""
    from testbed.foreign import ForeignDaemon
    from testbed.provision import Lease, may_own_a_daemon

    if not may_own_a_daemon():
        pytest.skip("a Docker that does not see this machine's files is one of our own, which only root can start")
    lease = Lease(kind=ForeignDaemon)
    try:
        with shown(pytestconfig):
            lease.daemon.start()
            lease.daemon.remove_containers()  # and the volumes of a session that was killed
        provide_images(lease.daemon.host, pytestconfig)
        assert isinstance(lease.daemon, ForeignDaemon)
        yield lease.daemon
    except TestbedError as error:
        unavailable(error)
    finally:
        lease.give_back()


@pytest.fixture(scope="module")
def foreign_images(foreign_daemon: ForeignDaemon, pytestconfig: pytest.Config) -> Mapping[str, str]:
    """Tags of the images that it has, by runtime."""
    return provide_images(foreign_daemon.host, pytestconfig)


@pytest.fixture(scope="module")
def foreign_sshd(foreign_daemon: ForeignDaemon) -> Iterator[PrivateSshd]:
    """A sshd before that daemon; `ssh` is only to be found on PATH within `over_ssh`."""
    from testbed.sshd import PrivateSshd

    folder = Path(tempfile.mkdtemp(prefix="sshd-", dir=foreign_daemon.folder))
    server = PrivateSshd(folder, foreign_daemon.run_dir)
    try:
        server.start()
        yield server
    except TestbedError as error:
        unavailable(error)
    finally:
        server.delete()


@pytest.fixture
def over_ssh(foreign_sshd: PrivateSshd, monkeypatch: pytest.MonkeyPatch) -> PrivateSshd:
    """The same, with a `ssh` on PATH that knows it as the host `far`."""
    monkeypatch.setenv("PATH", str(foreign_sshd.bin), prepend=os.pathsep)
    return foreign_sshd


@pytest.fixture
def cutting_proxy(foreign_daemon: ForeignDaemon) -> Iterator[TcpProxy]:
    """A proxy before the daemon's port that cuts all connections when it is told to."""
    from testbed.tcp_proxy import TcpProxy

    proxy = TcpProxy(foreign_daemon.port)
    yield proxy
    proxy.close()
