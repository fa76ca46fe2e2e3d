"""The parts of a cluster: what each is started with, and the files that it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from testbed.kubernetes_images import PAUSE
from testbed.kubernetes_policy import write_plugin
from testbed.packages import ensure_programs, find_program, unpacked_program

NODE = "node"
"""The name of the only one."""
_PODS = "10.244.0.0/16"
_ETCD = "http://127.0.0.1:2379"
_POLICY = "policy"
_PLUGINS = Path("/usr/lib/cni")


class Parts:
    """Command lines by the part's name, and the files that they need.

    Args:
        folder: Of the cluster.
        images: Where containerd keeps what it has.
        program: All components of Kubernetes.
        address: Of the node.
        group: The cgroup that all pods are in.
        gates: Feature gates of Kubernetes that are set.
        heeds_policies: Whether a NetworkPolicy that denies all is enforced.

    Raises:
        TestbedError: A program is not there and cannot be had.
    """

    def __init__(
        self,
        folder: Path,
        images: Path,
        program: Path,
        address: str,
        group: str,
        *,
        gates: Mapping[str, bool],
        heeds_policies: bool,
    ) -> None:
        ensure_programs("containerd", "runc")
        self._folder = folder
        self._images = images
        self._program = program
        self._address = address
        self._group = group
        self._gates = gates
        self._heeds_policies = heeds_policies
        self.socket = Path("/run/containerd/containerd.sock")  # in a /run of the cluster's own
        self.kubeconfig = folder / "kubeconfig"
        self.certificates = folder / "certificates"

    def write(self) -> None:
        """Write what the parts read."""
        plugins = self._folder / "plugins"
        plugins.mkdir()
        for file in _network_plugins().iterdir():
            (plugins / file.name).symlink_to(file)
        write_plugin(plugins / _POLICY, self._program.with_name("kubectl"), self.kubeconfig)
        (self._folder / "cni").mkdir()
        (self._folder / "cni/10-pods.conflist").write_text(json.dumps(self._network()))
        (self._folder / "kubelet.json").write_text(json.dumps(self._kubelet()))
        (self._folder / "containerd.toml").write_text(self._containerd())

    def command(self, part: str) -> list[str]:
        """Return the command line of a part."""
        return {
            "etcd": self._etcd_command,
            "containerd": self._containerd_command,
            "kube-apiserver": self._api_server_command,
            "kube-controller-manager": self._manager_command,
            "kube-scheduler": self._scheduler_command,
            "kubelet": self._kubelet_command,
        }[part]()

    def _etcd_command(self) -> list[str]:
        program = unpacked_program("etcd-server", "etcd")
        options = ("--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD, "--unsafe-no-fsync")
        return [str(program), "--data-dir", str(self._folder / "etcd"), *options]

    def _containerd_command(self) -> list[str]:
        return [find_program("containerd") or "containerd", "--config", str(self._folder / "containerd.toml")]

    def _api_server_command(self) -> list[str]:
        keys = self.certificates
        return [
            *(str(self._program), "kube-apiserver", f"--etcd-servers={_ETCD}"),
            *("--secure-port=443", f"--advertise-address={self._address}", "--service-cluster-ip-range=10.96.0.0/16"),
            *(f"--tls-cert-file={keys}/api.crt", f"--tls-private-key-file={keys}/api.key"),
            *(f"--client-ca-file={keys}/ca.crt", f"--token-auth-file={keys}/tokens.csv", "--authorization-mode=RBAC"),
            *(f"--kubelet-client-certificate={keys}/api.crt", f"--kubelet-client-key={keys}/api.key"),
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}/accounts.pub",
            f"--service-account-signing-key-file={keys}/accounts.key",
            *self._gated(),
        ]

    def _manager_command(self) -> list[str]:
        return [
            *(str(self._program), "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false"),
            f"--root-ca-file={self.certificates}/ca.crt",
            f"--service-account-private-key-file={self.certificates}/accounts.key",
            "--use-service-account-credentials=false",
        ]

    def _scheduler_command(self) -> list[str]:
        return [str(self._program), "kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false"]

    def _kubelet_command(self) -> list[str]:
        place = self._folder / "kubelet"
        return [
            *(str(self._program), "kubelet", f"--kubeconfig={self.kubeconfig}", f"--root-dir={place}"),
            *(f"--config={self._folder}/kubelet.json", f"--cert-dir={place}/pki"),
            *(f"--hostname-override={NODE}", f"--node-ip={self._address}", *self._gated()),
        ]

    def _gated(self) -> list[str]:
        chosen = ",".join(f"{name}={str(is_on).lower()}" for name, is_on in self._gates.items())
        return [f"--feature-gates={chosen}"] if chosen else []

    def _kubelet(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self.certificates / "ca.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._group}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,  # root may lack the right to lower it
            "podLogsDir": str(self._folder / "pod-logs"),
            "clusterDNS": ["10.96.0.10"],
            "resolvConf": "",
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "nodeStatusUpdateFrequency": "4s",
            "fileCheckFrequency": "0s",
        }

    def _containerd(self) -> str:
        return f"""
version = 2
root = "{self._images}"
state = "/run/containerd"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self._images}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/{PAUSE}"
  restrict_oom_score_adj = true  # root may lack the right to lower it
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{self._folder}/plugins"
    conf_dir = "{self._folder}/cni"
"""

    def _network(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "ranges": [[{"subnet": _PODS}]],
            "dataDir": str(self._folder / "addresses"),
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugins: list[dict[str, object]] = [
            {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": addresses}
        ]
        if self._heeds_policies:
            plugins.append({"type": _POLICY})
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def _network_plugins() -> Path:
    """Return the folder of the programs `bridge`, `host-local` and `loopback`."""
    if (_PLUGINS / "host-local").is_file():
        return _PLUGINS
    return unpacked_program("containernetworking-plugins", "host-local", "usr/lib/cni").parent


def ensure_parts() -> None:
    """Have all programs of a cluster beside Kubernetes itself.

    Raises:
        TestbedError: One cannot be had.
    """
    ensure_programs("containerd", "runc", "ip", "openssl")
    unpacked_program("etcd-server", "etcd")
    _network_plugins()
