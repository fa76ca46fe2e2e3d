"""Unpacked code, kept by digest and shared by all runs of a state folder."""

from botdock.services.code_cache.cache import CodeCache

__all__ = ["CodeCache"]
