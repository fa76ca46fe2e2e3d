"""Unpacked code, kept by digest and shared by all runs of a state folder."""

from botdock.services.code_cache.cache import CodeCache
from botdock.services.code_cache.eviction import CachedTree
from botdock.services.code_cache.folder import Staging

__all__ = ["CachedTree", "CodeCache", "Staging"]
