"""Makes the services from configuration and plugins."""

from botdock.factory.explaining import explain
from botdock.factory.service_factory import ServiceFactory
from botdock.orchestrator import Explanation
from botdock.orchestrator.plan import Bound

__all__ = ["Bound", "Explanation", "ServiceFactory", "explain"]
