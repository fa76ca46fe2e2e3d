"""Makes the services from configuration and plugins."""

from botdock.factory.service_factory import ServiceFactory

__all__ = ["ServiceFactory"]
