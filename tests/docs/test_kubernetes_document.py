"""The how-to about Kubernetes, followed on a real cluster: by the account that it shows, and from within a pod."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from botdock_engine_kubernetes.checks import role_file
from testbed.kubernetes_fixtures import UNENFORCED
from testbed.kubernetes_namespaces import Kubernetes
from testbed.kubernetes_program import ensure_kubernetes
from testbed.waiting import wait_until

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/kubernetes.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
INSIDE = "botdock inside the cluster"
HOLDS = {"site": Path(sysconfig.get_path("purelib")), "code": ROOT}
"""What takes the place of an image with botdock: folders of this machine, by the volume that shows them."""
SKIPPED = ("pip install", "kubectl create namespace")
"""What was done before the test."""


def blocks(language: str, section: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL))


def configuration(images: dict[str, str], **options: str) -> str:
    """Return a configuration for the cluster of the tests."""
    lines = ['engine = "kubernetes"', "[options.kubernetes]", *(f'{key} = "{text}"' for key, text in options.items())]
    lines += ["[policy.unenforced]", f"kubernetes = {json.dumps(UNENFORCED)}", "[runtime.images]"]
    return "\n".join([*lines, *(f'"{runtime}" = "{image}"' for runtime, image in images.items())])


class Reader:
    """Someone who does what a section says, in a namespace of a test."""

    def __init__(self, cluster: Kubernetes, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{ensure_kubernetes().parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "KUBECONFIG": str(cluster.kubeconfig),
            "BOTDOCK_HOME": str(folder / "state"),
            "BOTDOCK_CONFIG": str(folder / "botdock.toml"),
        }

    def follow(self, command: str, *, place: Path = ROOT, **environment: str) -> str:
        """Do what a line says, and return what it printed."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command.replace("-n bots", f"-n {self.namespace}")],
            cwd=place,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"
        assert done.returncode in ({0, 1} if " doctor" in command else {0}), f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def commands(self, section: str) -> Iterator[str]:
        """Return what a section shows that is left to do."""
        lines = [line[2:] for line in blocks("console", section).splitlines() if line.startswith("$ ")]
        return (line for line in lines if not line.startswith(SKIPPED))


@pytest.fixture
def reader(kubernetes: Kubernetes, kubernetes_namespace: str, tmp_path: Path) -> Reader:
    return Reader(kubernetes, kubernetes_namespace, tmp_path)


def test_the_shown_rights_are_those_that_are_printed() -> None:
    assert role_file() in blocks("yaml", "Rights")


def test_a_bot_runs_by_an_account_that_has_the_shown_rights_alone(reader: Reader, tmp_path: Path) -> None:
    apply, *others = reader.commands("Install")
    reader.follow(apply)
    token = reader.follow("kubectl create token botdock -n bots").strip()
    mine = yaml.safe_load(reader.cluster.kubeconfig.read_text())
    for user in mine["users"]:
        user["user"] = {"token": token}
    (tmp_path / "account").write_text(yaml.safe_dump(mine))
    images = dict(reader.cluster.images)
    (tmp_path / "botdock.toml").write_text(configuration(images, namespace=reader.namespace))
    printed = [reader.follow(command, KUBECONFIG=str(tmp_path / "account")) for command in others]
    assert "the account may do all that a runner does" in printed[0]
    assert not re.search("^failed +kubernetes", printed[0], re.MULTILINE)
    assert "hello" in printed[1].lower()


def volumes(namespace: str, folders: dict[str, Path]) -> list[dict[str, Any]]:
    """Return volumes of the node's disk, each for one claim of a namespace."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{claim}"},
            "spec": {
                "capacity": {"storage": "20Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": str(path)},
                "claimRef": {"namespace": namespace, "name": claim},
            },
        }
        for claim, path in folders.items()
    ]


def without_an_image(documents: list[dict[str, Any]], images: dict[str, str]) -> list[dict[str, Any]]:
    """Return the shown manifests, with an image of the tests and botdock as it lies here."""
    settings, claim, deployment = documents
    settings["data"]["botdock.toml"] = 'home = "/var/lib/botdock/state"\n' + configuration(images)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = [f"/opt/code/{path.relative_to(ROOT)}" for path in (ROOT / "core", *ROOT.glob("*/*/src"))]
    container |= {"image": images["python311"], "imagePullPolicy": "Never"}
    container["command"] = ["python3", "-m", "botdock_cli"]
    container["env"].append({"name": "PYTHONPATH", "value": ":".join(["/opt/site", *paths])})
    container["volumeMounts"] += [{"name": name, "mountPath": f"/opt/{name}", "readOnly": True} for name in HOLDS]
    pod["volumes"] += [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in HOLDS]
    return [settings, *({**claim, "metadata": {"name": name}} for name in ("botdock", *HOLDS)), deployment]


@pytest.fixture
def apply(reader: Reader, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Return a function that makes ready what the section about botdock in the cluster begins with."""
    if reader.cluster.cluster is None:
        pytest.skip("its nodes do not have this machine's disk")
    state = tmp_path / "volume"
    state.mkdir(mode=0o700)
    os.chown(state, 10001, 10001)
    disks = volumes(reader.namespace, {"botdock": state, **HOLDS})

    def applied() -> None:
        (tmp_path / "disks.yaml").write_text(yaml.safe_dump_all(disks))
        reader.follow(f"kubectl apply -f {tmp_path}/disks.yaml")
        shown = without_an_image(list(yaml.safe_load_all(blocks("yaml", INSIDE))), dict(reader.cluster.images))
        (tmp_path / "botdock.yaml").write_text(yaml.safe_dump_all(shown))
        reader.follow(next(reader.commands("Install")))

    yield applied
    reader.follow("kubectl delete deployment botdock -n bots --ignore-not-found --wait")
    reader.follow(f"kubectl delete -f {tmp_path}/disks.yaml --ignore-not-found --wait=false")


@pytest.mark.sampled(3)
def test_botdock_runs_bots_from_within_the_cluster(reader: Reader, apply: Callable[[], None], tmp_path: Path) -> None:
    apply()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    printed = {}

    def follow(command: str) -> str:
        return reader.follow(command.replace(" -- botdock ", " -- python3 -m botdock_cli "), place=tmp_path)

    def running() -> list[str]:
        listed = json.loads(follow("kubectl exec -n bots deployment/botdock -- botdock ps --json"))
        return [one["execution_id"] for one in listed if one["id"] == "alert" and one["state"] == "running"]

    def is_running(executions: list[str]) -> bool:
        return running() == executions

    before: list[str] = []
    for command in reader.commands(INSIDE):
        if command.startswith("kubectl rollout restart"):
            assert wait_until(running, timeout=300, interval=1)
            before = running()
        printed[command.rpartition(" -- botdock ")[2]] = follow(command)
        if command.endswith("botdock ps"):
            assert wait_until(partial(is_running, before), timeout=300, interval=1), "it is the same, and still runs"
    assert running() == []
    assert "the account may do all that a runner does" in printed["doctor"]
    assert "hello" in printed["logs hello"].lower()
