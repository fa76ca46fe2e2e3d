"""The strict profile: the pod of a run, as Pod Security's level `restricted` takes it. Pure: no call is made here.

Everything that the profile turns off is written out, so that neither the image nor the cluster's defaults decide.
"""

from __future__ import annotations

import math
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from botdock.errors import PolicyError
from botdock.model import DEFAULT_LIMITS
from botdock.model.profile import HOME, HOSTNAME, IDENTITY_FILES, SHARED_MEMORY, USUAL_ENVIRONMENT
from botdock_engine_kubernetes.delivery import (
    CODE,
    CONTEXT,
    FILES,
    IDENTITY,
    KEY,
    PRIVATE,
    PROGRAM,
    RESULT_FILE,
    RESULTS,
    SECRETS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock.model import ContainerRun, ContainerTemplate
    from botdock_engine_kubernetes.delivery import Delivery
    from botdock_engine_kubernetes.settings import KubernetesSettings

LABEL_NETWORK = "io.botdock.network"
"""Of pods: the network of the template, for network policies to select."""
DELIVER, RESULT, BOT = "deliver", "result", "bot"
"""The containers of a pod, in the order of their start: the first ends, the second waits for the bot's end."""
DELIVERY, TMP, SHARED = "delivery", "tmp", "shm"
"""Volumes of a pod, besides `FILES` and `PRIVATE`: what is to be unpacked, and what the bot may write."""
VOLUMES = "/botdock"
"""Where `deliver` and `result` see the volumes."""
MIB = 1024 * 1024
HELPER_MEMORY = 64 * MIB
HELPER_CPU = {"request": "10m", "limit": "1"}
SECRETS_BYTES = 16 * MIB
"""Of the folder that the bot's secrets are in; all its variables together have 1 MiB at most."""
LOG_BYTES = 256 * MIB
"""Bytes that the log may take on the node's disk besides twice the output limit: a node looks every 10 s only whether a
log is to be cut, and then keeps 50 MiB."""
FILE_BLOCK = 512
"""Bytes: what a shell counts the size of files in."""
HELPER_PROCESSES = 2
"""Of the bot's user, besides its own and the first of its container: those of `result`."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def pod_spec(
    template: ContainerTemplate,
    run: ContainerRun,
    *,
    settings: KubernetesSettings,
    user: int,
    delivery: Delivery,
    pull: str = "IfNotPresent",
) -> dict[str, Any]:
    """Return the specification of the pod.

    Args:
        template: What it has in common with others.
        run: What is its own.
        settings: The operator's.
        user: Its user id, and group id.
        delivery: How its files reach it.
        pull: Kubernetes' word for when an image is pulled.

    Raises:
        PolicyError: The network is another's.
    """
    limits = cast("Any", template.limits.over(DEFAULT_LIMITS))  # so that no limit is None
    optional = {
        "nodeSelector": dict(settings.node_selector),
        "tolerations": settings.pod_tolerations,
        "runtimeClassName": settings.runtime_class,
        "serviceAccountName": settings.service_account,
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "hostname": HOSTNAME,
        **_names(template.network),
        "terminationGracePeriodSeconds": math.ceil(settings.longest_grace),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            _deliver(template, settings, delivery),
            _result(template, settings, limits),
        ],
        "containers": [_bot(template, run, settings, limits)],
        "volumes": _volumes(limits, delivery),
        **{name: value for name, value in optional.items() if value},
        **({"hostUsers": False} if settings.user_namespaces else {}),
    }
    for container in (*pod["initContainers"], *pod["containers"]):
        container |= {"imagePullPolicy": pull, "securityContext": _container_security()}
    return pod


def _deliver(template: ContainerTemplate, settings: KubernetesSettings, delivery: Delivery) -> dict[str, Any]:
    program = "" if settings.helper_image else template.command[0]
    targets = (template.program_target, template.code_target)
    return {
        **_helper(
            DELIVER, template, settings, memory=HELPER_MEMORY + delivery.size
        ),  # what it unpacks there is its own
        "command": _shell("deliver", DELIVER, f"{VOLUMES}/{DELIVERY}", VOLUMES, program, *targets),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *(_mount(name, f"{VOLUMES}/{name}") for name in (FILES, PRIVATE)),
            _mount(DELIVERY, f"{VOLUMES}/{DELIVERY}", read_only=True),
        ],
    }


def _result(template: ContainerTemplate, settings: KubernetesSettings, limits: Any) -> dict[str, Any]:
    folder = f"{VOLUMES}/{RESULTS}"
    return {
        **_helper(RESULT, template, settings, memory=HELPER_MEMORY),
        "command": _shell("result", RESULT, folder, str(limits.result)),
        "restartPolicy": "Always",  # which makes it a sidecar: it is asked to end once the bot has
        "volumeMounts": [_mount(FILES, folder, sub_path=RESULTS)],
    }


def _helper(name: str, template: ContainerTemplate, settings: KubernetesSettings, *, memory: int) -> dict[str, Any]:
    return {
        "name": name,
        "image": settings.helper_image or template.image,
        "env": _environment({"HOME": VOLUMES, "LC_ALL": "C"}),
        "resources": {
            "requests": {"memory": str(memory), "cpu": HELPER_CPU["request"]},
            "limits": {"memory": str(memory), "cpu": HELPER_CPU["limit"]},
        },
    }


def _bot(template: ContainerTemplate, run: ContainerRun, settings: KubernetesSettings, limits: Any) -> dict[str, Any]:
    processes = limits.pids + HELPER_PROCESSES
    bounds = (limits.open_files, limits.file_size // FILE_BLOCK, processes)
    return {
        "name": BOT,
        "image": template.image,
        "command": _shell("init", BOT, *map(str, bounds), *template.command, template.context_target),
        "workingDir": template.code_target,
        "env": _environment({**USUAL_ENVIRONMENT, **template.environment}),
        "resources": _resources(limits, settings),
        "volumeMounts": [
            _mount(FILES, template.program_target, sub_path=PROGRAM, read_only=True),
            _mount(FILES, template.code_target, sub_path=CODE, read_only=True),
            _mount(PRIVATE, template.context_target, sub_path=CONTEXT, read_only=True),
            _mount(FILES, template.result_target, sub_path=f"{RESULTS}/{RESULT_FILE}"),
            _mount(TMP, HOME),
            _mount(SHARED, "/dev/shm"),  # noqa: S108 - in its container
            *(
                _mount(PRIVATE, f"/etc/{name}", sub_path=f"{IDENTITY}/{name}", read_only=True)
                for name in IDENTITY_FILES
            ),
            *([_mount(PRIVATE, run.secrets_target, sub_path=SECRETS)] if run.secrets_target else []),
        ],
    }


def _resources(limits: Any, settings: KubernetesSettings) -> dict[str, Any]:
    memory = str(limits.memory)
    return {
        "limits": {
            "memory": memory,
            "cpu": _cpus(limits.cpus),
            "ephemeral-storage": str(limits.file_size + 2 * limits.output + LOG_BYTES),
        },
        "requests": {
            "memory": memory,
            "cpu": _cpus(limits.cpus * settings.cpu_request),
            "ephemeral-storage": str(MIB),
        },
    }


def _cpus(cpus: float) -> str:
    return f"{max(1, round(cpus * 1000))}m"


def _container_security() -> dict[str, Any]:
    return {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }


def _volumes(limits: Any, delivery: Delivery) -> list[dict[str, Any]]:
    parts = [
        {"secret": {"name": name, "items": [{"key": KEY, "path": f"{KEY}{number:03}"}]}}
        for number, name in enumerate(delivery.secrets)
    ]
    on_disk = delivery.size + limits.file_size + limits.result + MIB  # the result, and a copy of it
    in_memory = {
        PRIVATE: delivery.size + SECRETS_BYTES,
        TMP: limits.tmpfs,
        SHARED: min(limits.tmpfs, SHARED_MEMORY),
    }
    return [
        {"name": DELIVERY, "projected": {"sources": parts, "defaultMode": 0o444}},
        {"name": FILES, "emptyDir": {"sizeLimit": str(on_disk)}},
        *({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}} for name, size in in_memory.items()),
    ]


def _mount(volume: str, path: str, *, sub_path: str = "", read_only: bool = False) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": volume, "mountPath": path, "readOnly": read_only}
    return {**mount, "subPath": sub_path} if sub_path else mount


def network_label(network: str) -> str:
    """Return the network as the value of `LABEL_NETWORK`.

    Raises:
        PolicyError: The network is another's.
    """
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
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]}}


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
