"""Run Node.js 20 bots with botdock; `nodejs` makes the runtime of another version."""

from botdock_runtime_nodejs20.runtime import nodejs

__all__ = ["nodejs"]
