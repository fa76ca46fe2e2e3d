"""Takes an execution through its phases."""

from botdock.orchestrator.bot_orchestrator import BotOrchestrator
from botdock.orchestrator.execution import Execution
from botdock.orchestrator.explanation import EngineFacts, Explainer, Explanation
from botdock.orchestrator.preparation import Services, Setting
from botdock.orchestrator.strays import Leftover

__all__ = ["BotOrchestrator", "EngineFacts", "Execution", "Explainer", "Explanation", "Leftover", "Services", "Setting"]
