"""The strict profile: from a template and a run to the Job that the cluster is asked for. Pure: no call is made here.

Everything that the profile turns off is written out, so that neither the image nor the cluster's defaults decide.
"""

from __future__ import annotations

import math
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

import attrs
from lightkube.resources.batch_v1 import Job

from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock.model import ContainerRun, ContainerTemplate, Limits
    from botdock_engine_kubernetes.settings import KubernetesSettings

JOB_LABEL = "batch.kubernetes.io/job-name"
"""What Kubernetes itself writes on a Job's pods."""
LABEL_USER = "io.botdock.user"
"""The user id of a bot, and what botdock's Jobs and pods are known by."""
LABEL_NETWORK = "io.botdock.network"
"""Of pods: the network of the template, for network policies to select."""
ANNOTATION_NAME = "io.botdock.name"
"""The name of the run; the Job's is it in small letters."""
DELIVER, RESULT, BOT = "deliver", "result", "bot"
"""The containers of a pod, in the order of their start: the first ends, the second waits for the bot's end."""
DELIVERY = "/botdock/delivery"
"""Where `deliver` sees the Secrets; beside it, in `/botdock`, it sees the volumes that it fills."""
VOLUMES = "/botdock"
PROGRAM, CODE, CONTEXT, RESULTS, TMP, SECRETS = "program", "code", "context", "results", "tmp", "secrets"
"""The volumes of a pod."""
RESULT_FILE = "result"
"""In the volume `results`."""
IDENTITY_FILES = ("passwd", "group")
"""In the volume `context`: who the bot's user is."""
HOME = "/tmp"  # noqa: S108 - the bot's own, in its container
NAME = "bot"
"""What the bot's user and group are called, whatever their id is."""
MIB = 1024 * 1024
HELPER_MEMORY = 64 * MIB
HELPER_CPU = {"request": "10m", "limit": "1"}
IN_MEMORY = 16 * MIB
"""Bytes of the context, and of the secrets, at most."""
DISK_HEADROOM = 64 * MIB
"""Bytes on a node's disk beside the result and the log."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@attrs.frozen(kw_only=True)
class Delivery:
    """How the files of a run reach its pod.

    Attributes:
        secrets: The names of the Secrets that hold the archive's parts, in their order; none where it is streamed.
        size: Bytes that it unpacks to.
    """

    secrets: tuple[str, ...] = ()
    size: int = 0


def job_name(name: str) -> str:
    """Return the name of the Job of a run: Kubernetes wants small letters."""
    return name.lower()


def job(
    template: ContainerTemplate, run: ContainerRun, *, settings: KubernetesSettings, user: int, delivery: Delivery
) -> Job:
    """Return the Job of one run, suspended.

    Raises:
        PolicyError: The network is another's.
    """
    labels = {**run.selectors, LABEL_USER: str(user)}
    document = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(run.name),
            "labels": labels,
            "annotations": {**run.annotations, ANNOTATION_NAME: run.name},
        },
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            # the condition stays with the Job when the pod is gone, and says why
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "ttlSecondsAfterFinished": math.ceil(settings.keep_finished),
            "template": {
                "metadata": {"labels": {**labels, LABEL_NETWORK: _network(template.network)}},
                "spec": pod_spec(template, run, settings=settings, user=user, delivery=delivery),
            },
        },
    }
    return cast("Job", Job.from_dict(document))


def pod_spec(
    template: ContainerTemplate, run: ContainerRun, *, settings: KubernetesSettings, user: int, delivery: Delivery
) -> dict[str, Any]:
    """Return the specification of the pod."""
    limits = cast("Any", template.limits.over(DEFAULT_LIMITS))  # so that no limit is None
    helper = settings.helper_image or template.image
    optional = {
        "nodeSelector": dict(settings.node_selector),
        "tolerations": settings.pod_tolerations,
        "runtimeClassName": settings.runtime_class,
        "serviceAccountName": settings.service_account,
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "hostname": "botdock",
        **_names(template.network),
        "terminationGracePeriodSeconds": math.ceil(settings.longest_grace),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_deliver(template, helper, settings), _result(limits, helper)],
        "containers": [_bot(template, run, limits, settings)],
        "volumes": _volumes(run, limits, delivery),
        **{name: value for name, value in optional.items() if value},
    }


def _deliver(template: ContainerTemplate, image: str, settings: KubernetesSettings) -> dict[str, Any]:
    program = "" if settings.helper_image else template.command[0]
    targets = (template.program_target, template.code_target)
    mounts = [_mount(name, f"{VOLUMES}/{name}") for name in (PROGRAM, CODE, CONTEXT, RESULTS)]
    return {
        **_helper(DELIVER, image),
        "command": _shell("deliver", DELIVER, program, *targets),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, _mount(DELIVERY[1:].replace("/", "-"), DELIVERY, read_only=True)],
    }


def _result(limits: Limits, image: str) -> dict[str, Any]:
    return {
        **_helper(RESULT, image),
        "command": _shell("result", RESULT, f"{VOLUMES}/{RESULTS}/{RESULT_FILE}", str(limits.result)),
        "restartPolicy": "Always",  # which makes it a sidecar: it is asked to end once the bot has
        "volumeMounts": [_mount(RESULTS, f"{VOLUMES}/{RESULTS}", read_only=True)],
    }


def _helper(name: str, image: str) -> dict[str, Any]:
    memory = str(HELPER_MEMORY)
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": _environment({"HOME": HOME, "LC_ALL": "C"}),
        "securityContext": _container_security(),
        "resources": {
            "requests": {"memory": memory, "cpu": HELPER_CPU["request"]},
            "limits": {"memory": memory, "cpu": HELPER_CPU["limit"]},
        },
    }


def _bot(
    template: ContainerTemplate, run: ContainerRun, limits: Limits, settings: KubernetesSettings
) -> dict[str, Any]:
    usual = {"HOME": HOME, "TMPDIR": HOME, "USER": NAME, "LOGNAME": NAME, "LANG": "C.UTF-8"}
    rlimits = (str(limits.open_files), str(limits.file_size), str(limits.pids))
    return {
        "name": BOT,
        "image": template.image,
        "imagePullPolicy": "IfNotPresent",
        "command": _shell("init", "init", *rlimits, *template.command, template.context_target),
        "workingDir": template.code_target,
        "env": _environment({**usual, **template.environment}),
        "securityContext": _container_security(),
        "resources": _resources(limits, settings),
        "volumeMounts": [
            _mount(PROGRAM, template.program_target, read_only=True),
            _mount(CODE, template.code_target, read_only=True),
            _mount(CONTEXT, template.context_target, read_only=True),
            _mount(RESULTS, template.result_target, sub_path=RESULT_FILE),
            _mount(TMP, HOME),
            *(_mount(CONTEXT, f"/etc/{name}", sub_path=name, read_only=True) for name in IDENTITY_FILES),
            *([_mount(SECRETS, run.secrets_target)] if run.secrets_target else []),
        ],
    }


def _resources(limits: Limits, settings: KubernetesSettings) -> dict[str, Any]:
    complete = cast("Any", limits)
    disk = complete.result + 2 * complete.output + DISK_HEADROOM
    fixed = {"memory": str(complete.memory), "ephemeral-storage": str(disk)}
    reserved = _cpus(complete.cpus * settings.cpu_request)
    return {"limits": {**fixed, "cpu": _cpus(complete.cpus)}, "requests": {**fixed, "cpu": reserved}}


def _cpus(cpus: float) -> str:
    return f"{max(1, round(cpus * 1000))}m"


def _container_security() -> dict[str, Any]:
    return {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }


def _volumes(run: ContainerRun, limits: Limits, delivery: Delivery) -> list[dict[str, Any]]:
    complete = cast("Any", limits)
    written = max(complete.file_size, complete.result) + MIB
    parts = [
        {"secret": {"name": name, "items": [{"key": "archive", "path": f"archive.{number:03}"}]}}
        for number, name in enumerate(delivery.secrets)
    ]
    return [
        {"name": DELIVERY[1:].replace("/", "-"), "projected": {"sources": parts, "defaultMode": 0o444}},
        {"name": PROGRAM, "emptyDir": {}},
        {"name": CODE, "emptyDir": {}},
        {"name": CONTEXT, "emptyDir": {"medium": "Memory", "sizeLimit": str(IN_MEMORY)}},
        {"name": RESULTS, "emptyDir": {"sizeLimit": str(written)}},
        {"name": TMP, "emptyDir": {"medium": "Memory", "sizeLimit": str(complete.tmpfs)}},
        *(
            [{"name": SECRETS, "emptyDir": {"medium": "Memory", "sizeLimit": str(IN_MEMORY)}}]
            if run.secrets_target
            else []
        ),
    ]


def _mount(volume: str, path: str, *, sub_path: str = "", read_only: bool = False) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": volume, "mountPath": path, "readOnly": read_only}
    return {**mount, "subPath": sub_path} if sub_path else mount


def _network(network: str) -> str:
    if network == "host" or not _LABEL.fullmatch(network):
        raise PolicyError(
            f"network {network!r} cannot be had on Kubernetes: it is the value of the label {LABEL_NETWORK}",
            setting="policy.networks",
            hint="Name `none`, or one that a NetworkPolicy of the namespace selects by that label.",
        )
    return network


def _names(network: str) -> dict[str, Any]:
    """Return where a bot asks for names: nowhere without a network, else the cluster's would be shown."""
    if network != "none":
        return {"dnsPolicy": "ClusterFirst"}
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"], "searches": ["."]}}


def _environment(variables: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": literal(value)} for name, value in variables.items()]


def _shell(script: str, name: str, *arguments: str) -> list[str]:
    return ["/bin/sh", "-c", *map(literal, (script_text(script), name, *arguments))]


def literal(text: str) -> str:
    """Return a text that Kubernetes takes as it is: it reads `$(NAME)` as a variable, and `$$` as a dollar."""
    return text.replace("$", "$$")


@cache
def script_text(name: str) -> str:
    """Return a script of this package's."""
    return files(__package__).joinpath("scripts", f"{name}.sh").read_text(encoding="utf-8")
