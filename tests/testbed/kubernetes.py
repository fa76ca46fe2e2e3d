"""A Kubernetes of one node, of our own: real components in namespaces of their own, which end together."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from testbed.cgroups import make_group, prepare_cgroups, remove_group
from testbed.console import TestbedError, run, say
from testbed.kubernetes_certificates import SERVICE, make_certificates, write_kubeconfig
from testbed.kubernetes_images import write_archive
from testbed.kubernetes_parts import NODE, Parts
from testbed.kubernetes_program import HELP, ensure_kubernetes
from testbed.namespaces import Namespaces
from testbed.packages import find_program
from testbed.processes import end_process, read_or_empty
from testbed.rootfs import recipe_key
from testbed.waiting import wait_until

_WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
_ENOUGH_WATCHERS = 4096
_TIMEOUT = 180.0
"""Seconds that a step may take: the machine may be busy."""


class KubernetesCluster:
    """A cluster whose namespaces stand in a file of its folder, so that several processes share it.

    Args:
        folder: Where its data lies, which goes with the cluster; the images stay there for the next session.
        gates: Feature gates of Kubernetes that are set.
        heeds_policies: Whether a NetworkPolicy that denies all is enforced.
    """

    def __init__(self, folder: Path, *, gates: Mapping[str, bool] | None = None, heeds_policies: bool = False) -> None:
        self.folder = folder
        self.data = folder / "cluster"
        self.images = folder / "images"
        self._namespaces = Namespaces(folder)
        self._gates = gates or {}
        self._heeds_policies = heeds_policies

    @property
    def kubeconfig(self) -> Path:
        """The file by which all may be done in the cluster."""
        return self.data / "kubeconfig"

    @property
    def server(self) -> tuple[str, int]:
        """Address and port of the API server."""
        return self._namespaces.address, 443

    @property
    def device(self) -> str:
        """The network device of this machine that leads to it."""
        return self._namespaces.device

    @property
    def certificate(self) -> Path:
        """The authority for the API server's certificate, which is also good for 127.0.0.1."""
        return self._parts.certificates / "ca.crt"

    @cached_property
    def _parts(self) -> Parts:
        address = self._namespaces.address
        return Parts(
            self.data,
            self.images,
            ensure_kubernetes(),
            address,
            self._group,
            gates=self._gates,
            heeds_policies=self._heeds_policies,
        )

    def start(self) -> None:
        """Start it and wait until a pod could run; one that runs already is kept.

        Raises:
            TestbedError: It did not come up; with the end of the log of what did not.
        """
        if os.geteuid() != 0:
            raise TestbedError(f"no Kubernetes: only root can start one of our own; {HELP}")
        # A busy one may say no for a moment, and other workers have pods in it.
        if self._namespaces.holder is not None and wait_until(self.answers, timeout=_TIMEOUT, interval=0.5):
            return
        self.stop()
        try:
            self._start()
        except TestbedError:
            self.stop()
            raise

    def _start(self) -> None:
        ensure_kubernetes()
        say("starting a Kubernetes of our own (about 10 s)")
        prepare_cgroups()
        _allow_watchers()
        self.data.mkdir()
        self._namespaces.make()
        run(self._namespaces.within(["ip", "address", "add", f"{SERVICE}/32", "dev", "eth0"]), timeout=_TIMEOUT)
        make_group(self._group)
        make_certificates(self._parts.certificates, self._namespaces.address)
        write_kubeconfig(self.kubeconfig, f"https://{self._namespaces.address}", self._parts.certificates)
        self._parts.write()
        for part in ("etcd", "containerd"):
            self._launch(part)
        self.start_api_server()
        for part in ("kube-controller-manager", "kube-scheduler"):
            self._launch(part)
        self._prepare_images()
        self.start_kubelet()
        accounts = ["get", "serviceaccount", "default", "--namespace", "default"]
        self._await(lambda: self._says(*accounts), "kube-controller-manager")

    @property
    def _group(self) -> str:
        return f"botdock-kubernetes-{self._namespaces.number}"

    def answers(self) -> bool:
        """Whether the API server is ready."""
        return self._says("get", "--raw", "/readyz")

    def kubectl(self, *arguments: str) -> str:
        """Run `kubectl` with the cluster's kubeconfig, and return what it writes.

        Raises:
            TestbedError: It failed; with what it wrote.
        """
        program = ensure_kubernetes().with_name("kubectl")
        return run([str(program), "--kubeconfig", str(self.kubeconfig), *arguments], timeout=_TIMEOUT)

    def pid(self, part: str) -> int | None:
        """Return the pid of a part, such as `kubelet`; None where it does not run."""
        return self._namespaces.find(self._parts.command(part))

    def kill(self, part: str) -> None:
        """End a part by SIGKILL, as a crash would."""
        if (pid := self.pid(part)) is not None:
            end_process(pid, signal.SIGKILL)

    def start_api_server(self) -> None:
        """Start the API server, and wait until it is ready."""
        self._launch("kube-apiserver")
        self._await(self.answers, "kube-apiserver")

    def restart_api_server(self) -> None:
        """Kill the API server and start it again, which cuts every watch."""
        self.kill("kube-apiserver")
        self.start_api_server()

    def start_kubelet(self) -> None:
        """Start the kubelet, and wait until its node is ready."""
        self._launch("kubelet")
        ready = ["wait", f"node/{NODE}", "--for=condition=Ready", "--timeout=1s"]
        self._await(lambda: self._says(*ready), "kubelet")

    def cordon(self, *, schedulable: bool = False) -> None:
        """Let no further pod be scheduled, or let it again."""
        self.kubectl("uncordon" if schedulable else "cordon", NODE)

    def stop(self) -> None:
        """End it, and delete its data; nothing but the images is left."""
        group = self._group if self._namespaces.is_known else ""
        self._namespaces.end()
        self.__dict__.pop("_parts", None)
        if group:
            wait_until(lambda: remove_group(group), timeout=_TIMEOUT)
        shutil.rmtree(self.data, ignore_errors=True)

    def delete(self) -> None:
        """Stop it, and delete its images."""
        self.stop()
        shutil.rmtree(self.images, ignore_errors=True)

    def log_tail(self, part: str, lines: int = 20) -> str:
        """Return the end of a part's log."""
        text = read_or_empty(self.data / f"{part}.log").decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _launch(self, part: str) -> None:
        # containerd gives up what it has not taken 2 s after a container's end: on a busy machine, it has to come first
        first = ("nice", "-n", "-10") if part == "containerd" else ()
        with (self.data / f"{part}.log").open("ab") as log:
            process = subprocess.Popen(
                self._namespaces.within([*first, *self._parts.command(part)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the tests and not the cluster, which they end
                cwd=self.data,
            )
        process.returncode = 0  # it outlives this object on purpose: another worker may end it

    def _await(self, condition: Callable[[], bool], part: str) -> None:
        if not wait_until(condition, timeout=_TIMEOUT, interval=0.2):
            raise TestbedError(f"{part} did not do its part; the end of its log:\n{self.log_tail(part)}")

    def _says(self, *arguments: str) -> bool:
        with suppress(TestbedError):
            return bool(self.kubectl(*arguments))
        return False

    def _prepare_images(self) -> None:
        """Import the images, unless that was done, and forget the containers of a session that was killed."""
        self._await(lambda: self._runs(self._ctr("version")), "containerd")
        done = self.images / f"imported-{recipe_key()}"
        if not done.exists():
            self._import_images()
            done.touch()
        left = run(self._ctr("containers", "list", "--quiet"), timeout=_TIMEOUT).split()
        if left:
            run(self._ctr("containers", "remove", *left), timeout=_TIMEOUT)

    def _import_images(self) -> None:
        say("importing the images into a containerd")
        with (
            (self.data / "import.log").open("wb") as log,
            subprocess.Popen(
                self._ctr("images", "import", "-"), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            ) as process,
        ):
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # the log says why
                write_archive(process.stdin)
                process.stdin.close()
        if process.returncode != 0:
            raise TestbedError(f"the images cannot be imported: {self.log_tail('import')}")

    def _ctr(self, *arguments: str) -> list[str]:
        program = find_program("ctr") or "ctr"
        return self._namespaces.within(
            [program, "--address", str(self._parts.socket), "--namespace", "k8s.io", *arguments]
        )

    def _runs(self, command: list[str]) -> bool:
        with suppress(TestbedError):
            run(command, timeout=_TIMEOUT)
            return True
        return False


def _allow_watchers() -> None:
    """Let this machine's root have more watchers of files: a kubelet has one for each log that is followed."""
    with suppress(OSError):  # some machines let no one change it
        if int(_WATCHERS.read_text()) < _ENOUGH_WATCHERS:
            say(f"raising {_WATCHERS} to {_ENOUGH_WATCHERS} until the next boot")
            _WATCHERS.write_text(str(_ENOUGH_WATCHERS))
