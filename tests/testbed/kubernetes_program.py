"""All components of Kubernetes as one program, which Go builds once from the module `k8s.io/kubernetes`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from testbed.cache import built
from testbed.console import TestbedError, run, say
from testbed.packages import find_program

VERSION = "1.32.2"
"""A release whose module is complete: 1.31.14 and 1.32.13 are not."""
HELP = (
    "install Go, with which the testbed builds Kubernetes (some 6 minutes on two cores, once), or set KUBECONFIG and "
    "BOTDOCK_TEST_NAMESPACE for a cluster of your own"
)
_MAIN = Path(__file__).with_name("kubernetes_main.go")
_MODULE = f"k8s.io/kubernetes@v{VERSION}"
_STAGING = f"v0.{VERSION.partition('.')[2]}"  # what the modules are called that are released with it
_VERSIONED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_BUILD_TIMEOUT = 3600.0
_TELL_EVERY = 20.0
_SHOWN = 2000


def ensure_kubernetes() -> Path:
    """Return the path of the program, built if it must be; beside it lies `kubectl`, a link to it.

    Raises:
        TestbedError: It cannot be built; saying how to get it.
    """
    key = hashlib.sha256(VERSION.encode() + _MAIN.read_bytes()).hexdigest()[:12]
    return built(f"kubernetes-program-{key}", _build) / "kube"


def _build(work: Path) -> Path:
    go = find_program("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if go is None:
        raise TestbedError(f"no Kubernetes: {HELP}")
    say(f"building Kubernetes {VERSION} with Go; this takes some minutes, once")
    source, done = work / "source", work / "done"
    source.mkdir()
    done.mkdir()
    shutil.copy(_MAIN, source / "main.go")
    (source / "go.mod").write_text(_go_mod(go, source))
    _compile([go, "build", "-v", "-mod=mod", "-ldflags", _linked(), "-o", str(done / "kube"), "."], source)
    (done / "kubectl").symlink_to("kube")
    return done


def _go_mod(go: str, folder: Path) -> str:
    """Return our `go.mod`: what Kubernetes replaces by its own folders is named by the version that it was released in.

    Raises:
        TestbedError: The module cannot be had.
    """
    asked = run([go, "mod", "download", "-json", _MODULE], timeout=_BUILD_TIMEOUT, cwd=folder, attempts=2)
    theirs = Path(json.loads(asked[asked.index("{") :])["GoMod"]).read_text()
    replaced = re.findall(r"^\t(k8s\.io/[a-z-]+) => \./staging", theirs, re.MULTILINE)
    kept = re.findall(r"^(?:go|godebug) .*$", theirs, re.MULTILINE)
    return "\n".join(
        [
            "module kube",
            *kept,
            f"require {_MODULE.replace('@', ' ')}",
            *(f"replace {name} => {name} {_STAGING}" for name in replaced),
            "",
        ]
    )


def _linked() -> str:
    """Return the linker's flags: an API server that does not know its version does not start."""
    major, minor, _ = VERSION.split(".")
    known = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(
        ["-s", "-w", *(f"-X {place}.{name}={value}" for place in _VERSIONED for name, value in known.items())]
    )


def _compile(command: list[str], source: Path) -> None:
    """Run a build, and say now and then how far it is."""
    log = source / "build.log"
    deadline = time.monotonic() + _BUILD_TIMEOUT
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=source, env=dict(os.environ)
        ) as process,
    ):
        try:
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    process.wait(_TELL_EVERY)
                except subprocess.TimeoutExpired:
                    say(f"building Kubernetes: {len(log.read_text().splitlines())} steps done")
        finally:
            process.kill()
    if process.returncode != 0:
        raise TestbedError(f"no Kubernetes: {HELP}; building it failed:\n{log.read_text()[-_SHOWN:]}")
