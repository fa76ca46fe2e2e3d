"""HTTP with a bound on everything: connecting, waiting, the whole answer, and its size."""

from __future__ import annotations

import io
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import ProtocolError

from botdock_storage_minio.deadline import BoundedPool, BoundedTLSPool, seconds_left

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that is no object; a page of 1,000 keys of 1,024 bytes, each escaped, is a quarter of it."""
IDLE_CONNECTIONS = 64
"""Kept for the next request; with more at one time, urllib3 closes the rest of them afterwards."""
_ERROR_STATUS = 300


class NotS3Error(Exception):
    """An answer that says of itself that no S3 wrote it; its text may repeat our request, so that it is not kept.

    Attributes:
        status: Of HTTP.
        content_type: What the answer is, such as `text/html`.
        wants_tls: Whether it is what Go's servers answer to plain HTTP on a port for TLS.
    """

    def __init__(self, response: BaseHTTPResponse) -> None:
        self.status = response.status
        self.content_type = response.headers.get("content-type", "")[:80]
        self.wants_tls = b"HTTP request to an HTTPS server" in response.data
        super().__init__(f"HTTP status {self.status}, {self.content_type or 'of no type'}")


class Transport(urllib3.PoolManager):
    """Sends requests for `Minio`, once each: who repeats them knows what they mean. The current deadline bounds them.

    Args:
        connect_timeout: Seconds to open a connection.
        context: Whom to trust; None where no TLS is spoken.
    """

    def __init__(self, *, connect_timeout: float, context: ssl.SSLContext | None) -> None:
        super().__init__(num_pools=8, maxsize=IDLE_CONNECTIONS, ssl_context=context)
        self.pool_classes_by_scheme = {"http": BoundedPool, "https": BoundedTLSPool}
        self._connect_timeout = connect_timeout

    def urlopen(  # type: ignore[override]  # as urllib3 itself does
        self,
        method: str,
        url: str,
        redirect: bool = False,  # noqa: ARG002, FBT001, FBT002 - urllib3's; a signed request fits no other address
        **arguments: Any,
    ) -> BaseHTTPResponse:
        """Send one request; the answer is read here but for the body of an object that is asked for as a stream.

        Raises:
            NotS3Error: The answer is an error, and not one in S3's form.
            TimeoutError: The deadline has passed.
        """
        streams = not arguments.pop("preload_content", True)
        wait = seconds_left()
        timeout = urllib3.Timeout(connect=min(self._connect_timeout, wait), read=wait)
        arguments |= {"retries": False, "preload_content": False, "decode_content": False}
        response = super().urlopen(method, url, redirect=False, timeout=timeout, **arguments)
        if streams and response.status < _ERROR_STATUS:
            return response
        whole = _read_whole(response, method)
        if whole.status >= _ERROR_STATUS and method != "HEAD" and not _is_xml(whole):
            raise NotS3Error(whole)
        return whole


def _read_whole(response: BaseHTTPResponse, method: str) -> BaseHTTPResponse:
    with closing(response):
        data = response.read(LARGEST_ANSWER)
        if response.read(1):
            raise ProtocolError(f"an answer of more than {LARGEST_ANSWER} bytes, which is no object")
        response.release_conn()
    return urllib3.HTTPResponse(
        body=io.BytesIO(data),
        headers=response.headers,
        status=response.status,
        reason=response.reason,
        request_method=method,
        decode_content=False,
    )


def _is_xml(response: BaseHTTPResponse) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    return kind == "application/xml" and bool(response.data)
