"""Registered with pytest, so that it rewrites the asserts of the contracts; there is nothing else to it."""
