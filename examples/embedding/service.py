"""A web service that runs bots: start one, follow its log, stop it, ask for its result, list those that were.

    $ pip install fastapi uvicorn
    $ python examples/embedding/service.py

When it stops, bots go on; it takes them over when it starts again, and who follows a log reads on where that was.
"""

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.concurrency import iterate_in_threadpool, run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from botdock import BotdockError, Config, Executable, Execution, Runner
from botdock.errors import UserError
from botdock.executions import ExecutionRecord

EXAMPLES = Path(__file__).parents[1]
router = APIRouter()


class Bots:
    """The bots that can be run, by the names of their folders, and the executions that run."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self.runner = runner
        self.executions = runner.executions
        self.known = {path.name: path for path in folder.iterdir() if path.is_dir()}
        self.running: dict[str, Execution] = {}
        for execution in runner.recover():  # those that ran when the service stopped
            self.keep(execution)

    def keep(self, execution: Execution) -> None:
        self.running[execution.execution_id] = execution
        execution.add_done_callback(lambda ended: self.running.pop(ended.execution_id, None))


def bots_of(request: Request) -> Bots:
    bots: Bots = request.app.state.bots
    return bots


Served = Annotated[Bots, Depends(bots_of)]


class Order(BaseModel):
    bot: str
    config: dict[str, Any] = {}


@router.post("/executions", status_code=201)
async def start(order: Order, bots: Served) -> dict[str, str]:
    if order.bot not in bots.known:
        raise UserError(f"there is no bot {order.bot!r}", hint=f"There are: {', '.join(sorted(bots.known))}.")
    bot = Executable(id=order.bot, file_path=bots.known[order.bot], config=order.config)
    bots.keep(execution := await bots.runner.astart(bot))
    return {"execution_id": execution.execution_id}


@router.get("/executions")
def past(bots: Served, limit: int = 20, before: str | None = None) -> list[dict[str, Any]]:
    return [record.to_json() for record in bots.executions.list(limit=limit, before=before)]


def found(execution_id: str, bots: Served) -> ExecutionRecord:
    try:
        return bots.executions.get(execution_id)
    except UserError as error:
        raise HTTPException(404, error.message) from None


Found = Annotated[ExecutionRecord, Depends(found)]


@router.get("/executions/{execution_id}")
def result(record: Found, bots: Served) -> dict[str, Any]:
    value = None if record.outcome is None else bots.executions.result(record.execution_id)
    return {**record.to_json(), "value": value}


@router.delete("/executions/{execution_id}", status_code=202)
def stop(record: Found, bots: Served) -> dict[str, Any]:
    return bots.executions.request_stop(record.execution_id).to_json()


@router.get("/executions/{execution_id}/log")
async def log(record: Found, bots: Served, last_event_id: Annotated[str | None, Header()] = None) -> Response:
    execution = bots.running.get(record.execution_id)
    stored = bots.executions.logs(record.execution_id, after=last_event_id)  # refuses what is not a position
    lines = execution.alogs(after=last_event_id, follow=True) if execution else iterate_in_threadpool(stored)

    async def events() -> AsyncIterator[str]:
        async for line in lines:
            yield event(line.text, id=line.position)
        outcome = (await execution.aresult()).outcome if execution else record.outcome
        if outcome is not None:  # else the service stops, and the client comes again
            yield event(outcome, event="end")

    return StreamingResponse(events(), media_type="text/event-stream")


def event(data: str, **fields: str) -> str:
    """Return a server-sent event; as JSON, data is one line whatever is in it."""
    named = {**fields, "data": json.dumps(data)}
    return "".join(f"{name}: {value}\n" for name, value in named.items()) + "\n"


async def refuse(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 400 if isinstance(error, UserError) else 503)


class Server(uvicorn.Server):
    """Stops although clients follow logs: these end as the runner lets its bots go."""

    def __init__(self, runner: Runner, bots: Path, port: int) -> None:
        app = FastAPI(title="Bots", exception_handlers={BotdockError: refuse})
        app.state.bots = Bots(runner, bots)
        app.include_router(router)
        super().__init__(uvicorn.Config(app, port=port))
        self._runner = runner

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await run_in_threadpool(self._runner.close, stop=False)
        await super().shutdown(sockets)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run bots for others.")
    parser.add_argument("bots", nargs="?", type=Path, default=EXAMPLES, help="the folder of the bots' folders")
    parser.add_argument("--engine", default="", help="what runs them; without, the configured one, else Docker")
    parser.add_argument("--port", type=int, default=8000)
    asked = parser.parse_args()
    runner = Runner(Config.load(overrides={"engine": asked.engine}))
    with suppress(KeyboardInterrupt):  # it has stopped
        Server(runner, asked.bots, asked.port).run()


if __name__ == "__main__":
    main()
