"""Makes the services from configuration and plugins.

Names are imported on first use: a caller that only looks at a request pays for no runner.
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.factory.base import BaseFactory
    from botdock.factory.explaining import Bound, Explanation, explain
    from botdock.factory.service_factory import ServiceFactory

_HOMES = {"base": "BaseFactory", "explaining": "Bound Explanation explain", "service_factory": "ServiceFactory"}

__all__ = ["BaseFactory", "Bound", "Explanation", "ServiceFactory", "explain"]

if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
