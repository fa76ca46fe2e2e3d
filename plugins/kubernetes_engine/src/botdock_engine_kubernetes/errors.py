"""What went wrong with a call, as one of botdock's errors: what was asked of which cluster, and how to mend it."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TypeVar

import attrs
import httpx2
from lightkube import ApiError
from lightkube.core.exceptions import ConfigError as KubeconfigError

from botdock.errors import (
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
)

ENGINE = "kubernetes"
FOREIGN = (httpx2.HTTPError, httpx2.InvalidURL, KubeconfigError, OSError, ValueError)
"""All that speaking to the API server may raise; a ValueError is what is not JSON, or not an object of Kubernetes."""
_SHOWN = 600
"""Characters of the API server's words that a message repeats."""

_AWAY = "Is the cluster up, and its address right? `kubectl cluster-info` asks it too."
_SLOW = "An API server under load answers late: `containers.call_timeout` says how long to wait."
_LOGIN = "The kubeconfig's user is not known to the cluster: renew its credentials; `kubectl auth whoami` shows more."
_RIGHTS = "Give the runner's account this right: `botdock doctor` names all it needs, the documentation has the Role."
_TLS = "The kubeconfig's certificate-authority-data must be that of the cluster's authority."
_NAMESPACE = "`kubectl create namespace` makes it, and options.kubernetes.namespace names another."
_QUOTA = "`kubectl describe resourcequota` shows what is used; remove what has ended, or raise the quota."
_ADMISSION = "The namespace's admission refuses the pod; its words say which rule."
_NAME = "An execution has one Job; `kubectl delete job` removes it if it is a leftover."

_Error = TypeVar("_Error", bound=ContainerError)


@attrs.frozen(kw_only=True)
class Call:
    """What was asked of which cluster, for the message when it fails.

    Attributes:
        operation: The method of `Engine`, such as `create`.
        url: Where its API server listens.
        timeout: Seconds that it had.
        container_id: The container it was about, if any.
    """

    operation: str
    url: str
    timeout: float = 0.0
    container_id: str = ""

    def error(self, kind: type[_Error], problem: str, *, hint: str | None = None) -> _Error:
        """Return an error of a kind that says what went wrong with this call."""
        message = f"{ENGINE}: {self.operation}: {problem[:_SHOWN]}"
        return kind(message, engine=ENGINE, operation=self.operation, container_id=self.container_id or None, hint=hint)

    def late(self) -> EngineTimeoutError:
        """Return the error of a call that was not answered in time."""
        problem = f"no answer from {self.url} within {round(self.timeout, 1):g} s"
        return self.error(EngineTimeoutError, problem, hint=_SLOW)


def translate(error: BaseException, call: Call) -> ContainerError:
    """Return botdock's error for a foreign one; one that is botdock's already is returned as it is."""
    if isinstance(error, ContainerError):
        return error
    if isinstance(error, httpx2.HTTPStatusError):
        return _refusal(error, call)
    if isinstance(error, TimeoutError | httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return call.late()
    words = str(error)[:200] or type(error).__name__
    if isinstance(error, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in words:
        return call.error(EngineUnavailableError, f"no secure connection to {call.url}: {words}", hint=_TLS)
    if isinstance(error, KubeconfigError):
        return call.error(EngineUnavailableError, f"the kubeconfig cannot be used: {words}", hint=_LOGIN)
    return call.error(EngineUnavailableError, f"no answer from the API server {call.url}: {words}", hint=_AWAY)


def code_of(error: BaseException) -> int:
    """Return the HTTP status of the API server's answer; 0 where there was none."""
    if isinstance(error, ApiError) and error.status and error.status.code:
        return int(error.status.code)
    return error.response.status_code if isinstance(error, httpx2.HTTPStatusError) else 0


def reason_of(error: BaseException) -> str:
    """Return the API server's word for why it refused, such as `AlreadyExists`; empty where it gave none."""
    return (error.status.reason or "") if isinstance(error, ApiError) and error.status else ""


def is_cut(error: BaseException) -> bool:
    """Tell whether a connection was refused or broke, so that the same call may succeed on another."""
    return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)


def _refusal(error: httpx2.HTTPStatusError, call: Call) -> ContainerError:
    code, problem = code_of(error), _words(error)
    if code == HTTPStatus.GATEWAY_TIMEOUT:
        return call.late()
    if code == HTTPStatus.UNAUTHORIZED:
        return call.error(EngineUnavailableError, f"{call.url} refuses these credentials: {problem}", hint=_LOGIN)
    if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return call.error(EngineUnavailableError, f"{call.url} refuses for now: {problem}", hint=_AWAY)
    kind, hint = _meaning(code, reason_of(error), problem.lower(), call)
    return call.error(kind, problem, hint=hint)


def _meaning(code: int, reason: str, words: str, call: Call) -> tuple[type[ContainerError], str | None]:
    if code == HTTPStatus.CONFLICT and reason == "AlreadyExists":
        return ContainerConflictError, _NAME
    if code == HTTPStatus.FORBIDDEN:
        return ContainerError, _forbidden(words)
    if code == HTTPStatus.NOT_FOUND and "namespaces" in words:
        return ContainerError, _NAMESPACE
    return (ContainerNotFoundError if code == HTTPStatus.NOT_FOUND and call.container_id else ContainerError), None


def _forbidden(words: str) -> str:
    if "exceeded quota" in words:
        return _QUOTA
    return _RIGHTS if "cannot " in words else _ADMISSION


def _words(error: httpx2.HTTPStatusError) -> str:
    if isinstance(error, ApiError):
        return str(error.status.message or error).strip()
    try:
        return str(error.response.json()["message"]).strip()
    except (ValueError, KeyError, TypeError, httpx2.StreamError):
        return f"HTTP status {error.response.status_code}"
