"""A network plugin for containerd that heeds each NetworkPolicy that denies all, of the pods that it selects by labels.

It comes after the plugin that has made a pod's network, as a program: before any container of such a pod runs, it takes
the pod's device down, which no one there may take up again.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0


def denies_all(policy: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a policy selects a pod of these labels, and lets nothing in or out."""
    spec = policy["spec"]
    wanted = spec["podSelector"].get("matchLabels", {})
    is_closed = {"Ingress", "Egress"} <= set(spec["policyTypes"]) and not spec.get("ingress") and not spec.get("egress")
    return is_closed and wanted.items() <= labels.items() and "matchExpressions" not in spec["podSelector"]


def write_plugin(path: Path, kubectl: Path, kubeconfig: Path) -> None:
    """Write the program."""
    command = shlex.join([sys.executable, __file__, str(kubectl), str(kubeconfig)])
    path.write_text(f"#!/bin/sh\nexec {command}\n")
    path.chmod(0o755)


def main(kubectl: str, kubeconfig: str) -> None:
    """Do what the runtime asks for: the addition of a pod to the network, or anything else, where nothing is done."""
    if os.environ["CNI_COMMAND"] == "VERSION":
        print(json.dumps({"cniVersion": "0.4.0", "supportedVersions": ["0.4.0"]}))
        return
    asked = json.load(sys.stdin)
    if os.environ["CNI_COMMAND"] != "ADD":
        return
    pod = dict(pair.split("=", 1) for pair in os.environ["CNI_ARGS"].split(";"))

    def get(*what: str) -> dict[str, Any]:
        command = [kubectl, "--kubeconfig", kubeconfig, "--namespace", pod["K8S_POD_NAMESPACE"], "get", *what]
        done = subprocess.run([*command, "--output", "json"], check=True, capture_output=True, timeout=_TIMEOUT)
        return dict(json.loads(done.stdout))

    labels = get("pod", pod["K8S_POD_NAME"])["metadata"].get("labels", {})
    if any(denies_all(policy, labels) for policy in get("networkpolicies")["items"]):
        down = ["ip", "link", "set", os.environ["CNI_IFNAME"], "down"]
        subprocess.run(["nsenter", f"--net={os.environ['CNI_NETNS']}", *down], check=True, timeout=_TIMEOUT)
    print(json.dumps(asked["prevResult"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
