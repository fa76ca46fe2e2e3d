"""Where Docker listens."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ConfigError
from botdock_engine_docker.endpoint import Endpoint, Ssh, find_endpoint
from botdock_engine_docker.settings import DockerSettings


def find(host: str = "", environ: dict[str, str] | None = None, **fields: Any) -> Endpoint:
    return find_endpoint(DockerSettings(host=host, **fields), {"DOCKER_CONFIG": "/no/such/folder", **(environ or {})})


def test_without_any_setting_it_is_dockers_own_socket() -> None:
    assert find().socket == "/var/run/docker.sock"


def test_docker_host_of_the_environment_is_used_where_nothing_is_configured() -> None:
    assert find(environ={"DOCKER_HOST": "unix:///a.sock"}).socket == "/a.sock"
    assert find("unix:///b.sock", environ={"DOCKER_HOST": "unix:///a.sock"}).socket == "/b.sock"


@pytest.mark.parametrize("url", ["unix:///run/d.sock", "unix://run/d.sock"])
def test_a_unix_socket_may_share_our_disk(url: str) -> None:
    endpoint = find(url)
    assert (endpoint.socket, endpoint.shared_disk, endpoint.url) == ("/run/d.sock", None, url)


@pytest.mark.parametrize("url", ["tcp://farm.example:2375", "http://farm.example:2375"])
def test_a_tcp_address_does_not(url: str) -> None:
    endpoint = find(url)
    assert (endpoint.address, endpoint.shared_disk) == (("farm.example", 2375), False)
    assert endpoint.certificates is None


def test_an_option_says_otherwise() -> None:
    assert find("tcp://127.0.0.1:2375", shared_disk=True).shared_disk
    assert find("unix:///forwarded.sock", shared_disk=False).shared_disk is False


@pytest.mark.parametrize(
    ("url", "ssh"),
    [
        ("ssh://farm", Ssh(host="farm")),
        ("ssh://me@farm/", Ssh(host="farm", user="me")),
        (
            "ssh://me@farm:2222/run/user/7/docker.sock",
            Ssh(host="farm", user="me", port=2222, socket="/run/user/7/docker.sock"),
        ),
    ],
)
def test_a_daemon_behind_ssh_does_not_either(url: str, ssh: Ssh) -> None:
    endpoint = find(url)
    assert (endpoint.ssh, endpoint.shared_disk, endpoint.certificates) == (ssh, False, None)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ssh://me:secret@farm", "no password in it"),
        ("ssh://", "not an address of ssh"),
        ("ssh://-oProxyCommand=x", "not an address of ssh"),
        ("ssh://-oProxyCommand=x@farm", "not an address of ssh"),
        ("tcp://farm", "needs a host and a port"),
        ("tcp://:2375", "needs a host and a port"),
        ("tcp://farm:high", "needs a host and a port"),
        ("tcp://farm:99999", "needs a host and a port"),
        ("npipe:////./pipe/docker", "not an address of Docker"),
        ("unix://", "not an address of Docker"),
        ("/var/run/docker.sock", "not an address of Docker"),
        (f"unix:///{'s' * 107}", "longer than a socket's path can be: 107 bytes"),
    ],
)
def test_a_wrong_address_is_a_mistake(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        find(environ={"DOCKER_HOST": url})
    assert caught.value.problems[0].startswith("DOCKER_HOST: ")


def test_a_wrong_address_in_the_configuration_is_found_there() -> None:
    with pytest.raises(ConfigError) as caught:
        find("ssh://")
    assert caught.value.problems[0].startswith("docker.host: ")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").touch()
    return tmp_path


def test_certificates_are_found_by_dockers_names(certificates: Path) -> None:
    found = find("tcp://farm:2376", tls_verify=True, cert_path=str(certificates)).certificates
    assert found is not None
    assert found.authority == str(certificates / "ca.pem")
    assert found.client == (str(certificates / "cert.pem"), str(certificates / "key.pem"))


def test_dockers_own_variables_ask_for_tls_as_well(certificates: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://farm:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
    assert find(environ=environ).certificates is not None
    assert find("tcp://other:2375", environ=environ).certificates is None


def test_tls_without_certificates_of_our_own_trusts_the_systems_authorities() -> None:
    found = find("https://farm:2376").certificates
    assert found is not None
    assert (found.authority, found.client) == (None, None)


def test_missing_certificates_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    with pytest.raises(ConfigError) as caught:
        find("tcp://farm:2376", tls_verify=True, cert_path=str(tmp_path))
    assert len(caught.value.problems) == 2
    assert "cert.pem" in caught.value.problems[0]


def make_context(folder: Path, name: str, host: str, **fields: Any) -> dict[str, str]:
    """Write a context as `docker context create` and `docker context use` do, and return the environment for it."""
    key = sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host, **fields}}}))
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))
    return {"DOCKER_CONFIG": str(folder)}


def test_the_context_in_use_says_where_docker_listens(tmp_path: Path) -> None:
    environ = make_context(tmp_path, "rootless", "unix:///run/user/1000/docker.sock")
    assert find(environ=environ).socket == "/run/user/1000/docker.sock"
    assert find(environ={**environ, "DOCKER_HOST": "unix:///a.sock"}).socket == "/a.sock"
    assert find(environ={**environ, "DOCKER_CONTEXT": "default"}).socket == "/var/run/docker.sock"
    assert find("unix:///b.sock", environ=environ).socket == "/b.sock"


def test_the_certificates_of_a_context_are_used(tmp_path: Path) -> None:
    environ = make_context(tmp_path, "farm", "tcp://farm:2376", SkipTLSVerify=False)
    assert find(environ=environ).certificates is None
    folder = tmp_path / "contexts" / "tls" / sha256(b"farm").hexdigest() / "docker"
    folder.mkdir(parents=True)
    with pytest.raises(ConfigError, match="no file"):
        find(environ=environ)
    for name in ("ca", "cert", "key"):
        (folder / f"{name}.pem").touch()
    found = find(environ=environ).certificates
    assert found is not None
    assert found.authority == str(folder / "ca.pem")


def test_a_context_that_is_absent_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DOCKER_CONTEXT: no Docker context 'gone'"):
        find(environ={"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"})
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: cannot be read"):
        find(environ={"DOCKER_CONFIG": str(tmp_path)})
