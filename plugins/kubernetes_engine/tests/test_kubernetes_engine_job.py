"""The Job that a run becomes: the strict profile, written out."""

from __future__ import annotations

from typing import Any

import pytest

from botdock.errors import ConfigError, PolicyError
from botdock.model import Limits
from botdock_engine_kubernetes.delivery import Delivery
from botdock_engine_kubernetes.jobs import job
from botdock_engine_kubernetes.pod import BOT, DELIVER, RESULT, literal
from botdock_engine_kubernetes.settings import KubernetesSettings
from botdock_testing.engine import asked

USER = 2_000_007


def document(settings: KubernetesSettings | None = None, **fields: Any) -> dict[str, Any]:
    """Return the Job of a run as a document."""
    spec = asked(**{"name": "botdock-01ABC", **fields})
    delivery = Delivery(secrets=("one", "two"), size=7)
    made = job(*spec, settings=settings or KubernetesSettings(), user=USER, delivery=delivery)
    return made.to_dict()


def pod_of(found: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def containers(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    pod = pod_of(found)
    return {container["name"]: container for container in (*pod["initContainers"], *pod["containers"])}


def test_a_job_is_suspended_never_run_twice_and_removed_in_the_end() -> None:
    found = document(KubernetesSettings(keep_finished=60.0))
    spec = found["spec"]
    assert (spec["suspend"], spec["backoffLimit"], spec["podReplacementPolicy"]) == (True, 0, "Failed")
    assert spec["ttlSecondsAfterFinished"] == 60
    assert pod_of(found)["restartPolicy"] == "Never"


def test_names_selectors_and_annotations_are_where_kubernetes_wants_them() -> None:
    found = document(selectors={"io.botdock.owner": "me"}, annotations={"io.botdock.note": "any text, of any length"})
    assert found["metadata"]["name"] == "botdock-01abc"
    assert found["metadata"]["annotations"] == {
        "io.botdock.note": "any text, of any length",
        "io.botdock.name": "botdock-01ABC",
    }
    for labels in (found["metadata"]["labels"], found["spec"]["template"]["metadata"]["labels"]):
        assert labels.items() >= {"io.botdock.owner": "me", "io.botdock.user": str(USER)}.items()


def test_every_container_is_held_to_the_profile() -> None:
    found = document()
    pod = pod_of(found)
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"], pod["hostNetwork"]) == (False,) * 3
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == USER
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert list(containers(found)) == [DELIVER, RESULT, BOT]
    for container in containers(found).values():
        security = container["securityContext"]
        assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


def test_a_bot_writes_its_tmp_its_secrets_and_its_result_alone() -> None:
    bot = containers(document(secrets_target="/run/secrets"))[BOT]
    written = {mount["mountPath"] for mount in bot["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/tmp", "/dev/shm", "/botdock/result", "/run/secrets"}


def test_user_ids_are_the_pods_own_where_that_is_wanted() -> None:
    wanted = KubernetesSettings(user_namespaces=True)
    assert pod_of(document(wanted))["hostUsers"] is False
    assert (min(wanted.user_ids), max(wanted.user_ids)) == (1000, 65533)
    assert "hostUsers" not in pod_of(document())


def test_what_only_the_helper_needs_the_bot_does_not_see() -> None:
    bot = containers(document())[BOT]
    assert "botdock-delivery" not in {mount["name"] for mount in bot["volumeMounts"]}


def test_limits_are_the_bots() -> None:
    bot = containers(document(limits=Limits(memory="64MiB", cpus=0.5), settings=KubernetesSettings(cpu_request=0.2)))[
        BOT
    ]
    assert bot["resources"]["limits"].items() >= {"memory": str(64 * 2**20), "cpu": "500m"}.items()
    assert bot["resources"]["requests"]["cpu"] == "100m"


def test_nothing_is_expanded_by_kubernetes() -> None:
    found = document(environment={"ID": "$(HOME) $$ $x"}, command=("/bin/$(ID)",))
    bot = containers(found)[BOT]
    assert {"name": "ID", "value": "$$(HOME) $$$$ $$x"} in bot["env"]
    assert bot["command"][-2:] == ["/bin/$$(ID)", "/botdock/context"]
    assert literal("a") == "a"


def test_a_network_of_the_nodes_is_refused() -> None:
    for network in ("host", "", "two words"):
        with pytest.raises(PolicyError):
            document(network=network)


def test_where_it_runs_is_the_operators() -> None:
    settings = KubernetesSettings(
        node_selector={"pool": "bots"},
        tolerations=("bots=yes:NoSchedule", "gpu"),
        runtime_class="gvisor",
        image_pull_secrets=("registry",),
    )
    pod = pod_of(document(settings))
    assert pod["nodeSelector"] == {"pool": "bots"}
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["tolerations"] == [
        {"key": "bots", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"key": "gpu", "operator": "Exists"},
    ]


@pytest.mark.parametrize(
    "wrong", [{"users": "5"}, {"users": "0:10"}, {"tolerations": ("a:b:c",)}, {"cpu_request": 2.0}]
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        KubernetesSettings(**wrong)
