"""Hello on Kubernetes against a bare Job of the same pod by the same client; the delay of lines; 10,000 lines a second.

    python benchmarks/hello_on_kubernetes.py           one at a time, and 20 at once
    python benchmarks/hello_on_kubernetes.py 1 5       other numbers

The bare Job is a copy of what botdock asked for, with its Secrets, and is not suspended; its bot is watched to its end,
its log is read and it is removed. Both take turns, on a cluster of one node that the testbed starts, or that it has.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _setup import bot, machine, spread
from hello_at_once import Times, at_once
from lightkube import Client, KubeConfig
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod, Secret
from lightkube.types import CascadeType

from botdock import Config, DockerRunner, Executable
from botdock.model import new_execution_id
from botdock_engine_kubernetes.engine import KubernetesEngine
from testbed.images import IMAGES
from testbed.kubernetes_fixtures import UNENFORCED, KubernetesLease
from testbed.kubernetes_namespaces import Kubernetes, made_namespace

ROUNDS = 5
LINES = 300
RATE, SECONDS = 10_000, 10
CLOCK = f"""
import time

def main(id, config):
    for _ in range({LINES}):
        print(time.time_ns(), flush=True)
        time.sleep(0.03)
"""
FLOOD = f"""
import time

def main(id, config):
    started = time.monotonic()
    for second in range({SECONDS}):
        for number in range({RATE}):
            print("a line of some sixty characters, as a bot may well write it", number)
        time.sleep(max(0.0, started + second + 1 - time.monotonic()))
    return time.monotonic() - started
"""


def main(numbers: Sequence[int]) -> None:
    print(machine())
    lease = KubernetesLease()
    try:
        lease.cluster.start()
        with tempfile.TemporaryDirectory() as folder:
            measure(Kubernetes(kubeconfig=lease.cluster.kubeconfig, images={}), Path(folder), numbers)
    finally:
        lease.give_back()
    print(machine())


def measure(cluster: Kubernetes, folder: Path, numbers: Sequence[int]) -> None:
    namespace = made_namespace(cluster, folder)
    settings = {"kubeconfig": str(cluster.kubeconfig), "namespace": namespace}
    images = {runtime: f"docker.io/{image.tag}" for runtime, image in IMAGES.items()}
    overrides = {
        "engine": "kubernetes",
        "home": str(folder / "home"),
        "options": {"kubernetes": settings},
        "runtime": {"images": images},
        "policy": {"unenforced": {"kubernetes": list(UNENFORCED)}},
    }
    with DockerRunner(Config.load(environ={}, overrides=overrides)) as runner:
        hello = bot("python311", folder)
        bare = bare_job(Client(config=KubeConfig.from_file(cluster.kubeconfig), namespace=namespace), runner, hello)

        def ours() -> None:
            result = runner.run(hello)
            assert result.succeeded, result.error

        for number in numbers:
            report(number, [(at_once(ours, number), at_once(bare, number)) for _ in range(ROUNDS)])
        delays(runner, folder)
        flood(runner, folder)


def bare_job(client: Client, runner: DockerRunner, hello: Executable) -> Callable[[], None]:
    """Run once by botdock, and return what runs a copy of the Job and its Secrets that it made."""
    kept: list[tuple[Job, list[Secret]]] = []
    create = KubernetesEngine.create

    def keep(self: KubernetesEngine, *arguments: Any, **options: Any) -> Any:
        handle = create(self, *arguments, **options)
        owned = [secret for secret in client.list(Secret) if secret.metadata.name.startswith(handle.id)]
        kept.append((client.get(Job, handle.id), owned))
        return handle

    KubernetesEngine.create = keep  # type: ignore[method-assign]  # undone below
    try:
        result = runner.run(hello)
    finally:
        KubernetesEngine.create = create  # type: ignore[method-assign]  # as it was
    assert result.succeeded, result.error
    job, secrets = kept[-1]  # before it, what the cluster enforces was tried

    def run() -> None:
        name = f"bare-{new_execution_id().lower()}"

        def renamed(part: Any) -> Any:
            return json.loads(json.dumps(part).replace(job.metadata.name, name))

        spec = renamed(job.spec.to_dict())
        spec |= {"suspend": False, "selector": None}
        spec["template"]["metadata"] = {}
        made = client.create(Job.from_dict({"metadata": {"name": name}, "spec": spec}))
        owner = OwnerReference(apiVersion="batch/v1", kind="Job", name=name, uid=made.metadata.uid)
        for secret in secrets:
            metadata = ObjectMeta(name=renamed(secret.metadata.name), ownerReferences=[owner])
            client.create(Secret(metadata=metadata, data=secret.data, immutable=True))
        for _, pod in client.watch(Pod, labels={"job-name": name}):
            states = {each.name: each.state for each in pod.status.containerStatuses or ()}
            if "bot" in states and (end := states["bot"].terminated):
                assert end.exitCode == 0, end
                assert "hello\n" in client.log(pod.metadata.name, container="bot")
                break
        client.delete(Job, name, cascade=CascadeType.BACKGROUND)

    return run


def report(number: int, rounds: Sequence[tuple[Times, Times]]) -> None:
    for name, which in (("botdock", 0), ("bare Job", 1)):
        each = [seconds for pair in rounds for seconds in pair[which][1]]
        failed = [error for pair in rounds for error in pair[which][2]]
        together = statistics.median(pair[which][0] for pair in rounds)
        print(f"{number:3} at once  {name:9} all {together:.2f} s; each {spread(each, 's')}; {len(failed)} failed")
        for error in failed[:3]:
            print(f"    {type(error).__name__}: {error}", file=sys.stderr)
    ratio = statistics.median(ours[0] / theirs[0] for ours, theirs in rounds)
    print(f"{number:3} at once  {ratio:.2f} times a bare Job")


def delays(runner: DockerRunner, folder: Path) -> None:
    execution = runner.start(_written("clock", CLOCK, folder))
    seen = [(time.time_ns() - int(line.text)) / 1e6 for line in execution.logs(follow=True)]
    assert len(seen) == LINES, len(seen)
    print(f"from a line's write to its being read: first {seen[0]:.1f} ms; {spread(seen)}")


def flood(runner: DockerRunner, folder: Path) -> None:
    result = runner.run(_written("flood", FLOOD, folder))
    assert result.succeeded, result.error
    kept = f"{result.log.lines} lines kept, {result.log.gaps} gaps"
    print(f"{RATE} lines a second for {SECONDS} s, written in {result.value:.1f} s: {kept}")


def _written(name: str, source: str, folder: Path) -> Executable:
    tree = folder / name
    tree.mkdir()
    (tree / "main.py").write_text(source)
    return Executable(id=name, runtime="python311", file_path=str(tree))


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or (1, 20))
