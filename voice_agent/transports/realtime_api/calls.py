"""One client's call put together: its line, what client and server know, and the conversation."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openai.types import realtime as api
from pydantic import BaseModel

from voice_agent.agents.agent import Agent
from voice_agent.config import Pipeline
from voice_agent.control import Control
from voice_agent.transports.realtime_api import parsing
from voice_agent.transports.realtime_api.client import RealtimeClient, Setup
from voice_agent.transports.realtime_api.line import RealtimeLine
from voice_agent.transports.realtime_api.session import (
    Abilities,
    Session,
    new_session,
    updated,
)
from voice_agent.transports.realtime_api.talk import Around, Talk
from voice_agent.transports.websocket import Socket

if TYPE_CHECKING:
    from voice_agent.transports.realtime_api.routes import Conversations

OWN_VOICE = "default"
"""What the pipeline's voice is called where its engine has no name for it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A client's call; ``run`` the line, then wait for the task."""

    line: RealtimeLine
    task: asyncio.Task[None]
    expire: Callable[[], None]
    """Ends it: it has lasted as long as a session may."""


def begin(
    socket: Socket,
    pipeline: Pipeline,
    conversations: Conversations,
    *,
    model: str,
    speeds: bool,
    wanted: Mapping[str, Any] | None,
    address: str,
) -> Call:
    """Begin a conversation with the client at the other end of ``socket``.

    Args:
        socket: Open.
        pipeline: What answers.
        conversations: Who takes the call.
        model: What the client calls it.
        speeds: Its voice can speak faster and slower.
        wanted: The session that a client secret was made with.
        address: Where the client is.
    """
    settings = pipeline.realtime
    agent = conversations.agent
    session_id = _new_id("sess")
    line = RealtimeLine(socket, settings.lead_ms, {"session_id": session_id})
    abilities = _abilities(pipeline, agent, speeds=speeds)
    talk = Talk(
        _session(session_id, pipeline, model, abilities, wanted),
        abilities,
        pipeline.turns,
        Around(_new_id, line.listening.position, socket.allowance),
        _new_id("conv"),
        own_tools="tools" not in (wanted or {}),
    )
    setup = Setup(settings.voices, pipeline.vad, bool(agent.greeting))
    clients: list[RealtimeClient] = []

    def client(control: Control) -> RealtimeClient:
        clients.append(RealtimeClient(talk, line, control, setup))
        return clients[0]

    task = conversations.begin(line, address=address, ledger=talk.ledger, client=client)
    return Call(line, task, clients[0].expire)


def preview(
    pipeline: Pipeline, agent: Agent, model: str, wanted: Mapping[str, Any], *, speeds: bool
) -> dict[str, Any]:
    """Return the session that a client secret made with ``wanted`` begins with; raises Refused."""
    abilities = _abilities(pipeline, agent, speeds=speeds)
    shown = _session(_new_id("sess"), pipeline, model, abilities, wanted)
    validated = api.RealtimeSessionCreateResponse.model_validate(shown)
    return validated.model_dump(mode="json", exclude_unset=True)


def warm() -> None:
    """Use every model once, so that no call waits for pydantic to build them; for a thread."""
    for name in dir(api):
        model = getattr(api, name)
        if isinstance(model, type) and issubclass(model, BaseModel):
            model.model_rebuild()


def _session(
    session_id: str,
    pipeline: Pipeline,
    model: str,
    abilities: Abilities,
    wanted: Mapping[str, Any] | None,
) -> Session:
    """Return a new session, as ``wanted`` where that is given; raises Refused."""
    expires_at = int(time.time() + pipeline.realtime.session_s)
    begun = new_session(session_id, model, abilities, expires_at)
    if wanted is None:
        return begun
    return updated(begun, parsing.session(wanted, "session"), abilities, spoke=False)


def _abilities(pipeline: Pipeline, agent: Agent, *, speeds: bool) -> Abilities:
    voice = getattr(pipeline.tts.settings, "voice", None) or OWN_VOICE
    prompt = agent.system_prompt(agent.now())
    return Abilities(prompt, str(voice), frozenset(pipeline.realtime.voices), speeds)


def _new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:21]}"
