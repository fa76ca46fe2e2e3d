"""Takes an execution through its phases.

Names are imported on first use: a caller that only looks at a request pays for no runner.
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.orchestrator.bot_orchestrator import BotOrchestrator
    from botdock.orchestrator.execution import Execution
    from botdock.orchestrator.preparation import Setting
    from botdock.orchestrator.strays import Leftover
    from botdock.services.interfaces import Services

_HOMES = {
    "bot_orchestrator": "BotOrchestrator",
    "execution": "Execution",
    "preparation": "Services Setting",
    "strays": "Leftover",
}

__all__ = ["BotOrchestrator", "Execution", "Leftover", "Services", "Setting"]

if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
