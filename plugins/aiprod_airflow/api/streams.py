"""A job's changes as server-sent events and over a WebSocket: the same events, each stream of bounded length."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, HTTPException, Query, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from aiprod import settings
from aiprod.errors import JobUnknown
from aiprod_airflow.api.access import Job, Orders, Who, socket_caller, visible
from aiprod_airflow.api.problems import problem
from aiprod_airflow.api.watching import Event, follow, watching_of
from aiprod_airflow.pipelines import serving_pipeline

__all__ = ["router", "sockets"]

router = APIRouter(tags=["Watching"])
#: A WebSocket's route takes none of the router's dependencies: it asks for the caller itself.
sockets = APIRouter()

#: Milliseconds after which a browser comes back.
_RETRY = 2_000
#: A WebSocket costs nothing to keep; but whoever loses their rights loses it at the latest then.
_SOCKET_SECONDS = 600.0

_LAST_ID = Query(max_length=1_000, description="The id of the last event seen: only what changed since is told.")


@router.get(
    "/job/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "A stream of events."}},
)
async def events(
    job_id: Job,
    caller: Who,
    orders: Orders,
    last_event_id: Annotated[str | None, _LAST_ID] = None,
    seen_last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=1_000)] = None,
) -> Response:
    """Watch a job as server-sent events: `snapshot` (a JobView), then `change` (its fields that changed), then `end`.

    A change is told within two seconds. The stream ends after half a minute or when nothing can change any more
    (`{"over": true}`); come back with the `id` of the last event to be told only what changed since.
    """
    stream = follow(watching_of(orders), job_id, seen_last or last_event_id, settings.stream_seconds(), who=caller.name)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_sse(stream), media_type="text/event-stream", headers=headers)


async def _sse(stream: AsyncIterator[Event]) -> AsyncIterator[str]:
    yield f"retry: {_RETRY}\n\n"
    async for one in stream:
        yield f"id: {one.event_id}\nevent: {one.event}\ndata: {json.dumps(one.data)}\n\n"


@sockets.websocket("/ws/job/{job_id}")
async def watch(socket: WebSocket, job_id: str, last_event_id: Annotated[str | None, _LAST_ID] = None) -> None:
    """The events of `/job/{job_id}/events` as JSON messages {event, id, data}; `last_event_id` resumes."""
    orders = serving_pipeline()
    try:
        caller = await socket_caller(socket)
        await run_in_threadpool(visible, orders.ledger, orders.catalog, caller, job_id)
    except HTTPException as refused:
        return await _denied(socket, problem(refused.status_code, str(refused.detail)))
    except JobUnknown as unknown:
        return await _denied(socket, problem(404, str(unknown)))
    await socket.accept()
    async with anyio.create_task_group() as group:
        group.start_soon(_until_gone, socket, group.cancel_scope)
        await _tell(socket, follow(watching_of(orders), job_id, last_event_id, _SOCKET_SECONDS, who=caller.name))
        group.cancel_scope.cancel()


async def _denied(socket: WebSocket, answer: Response) -> None:
    """Refuse a handshake in the words of a request where the server can, else with a bare 403."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        return await socket.send_denial_response(answer)
    await socket.close(code=4000 + answer.status_code)


async def _tell(socket: WebSocket, stream: AsyncIterator[Event]) -> None:
    try:
        async for one in stream:
            await socket.send_json({"event": one.event, "id": one.event_id, "data": one.data})
        await socket.close()
    except WebSocketDisconnect:
        return


async def _until_gone(socket: WebSocket, scope: anyio.CancelScope) -> None:
    """End a stream when the other side is gone. What it says is of no interest."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()
