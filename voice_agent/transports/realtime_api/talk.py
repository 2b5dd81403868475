"""What both sides of the protocol work on: the session, the items, and what is under way. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from openai.types import realtime as api
from pydantic import BaseModel

from voice_agent.transports.realtime_api.items import Item, Items
from voice_agent.transports.realtime_api.memory import ItemLedger
from voice_agent.transports.realtime_api.outputs import Output, Wishes
from voice_agent.transports.realtime_api.refusals import Refused
from voice_agent.transports.realtime_api.responses import Ended, Manner, Response
from voice_agent.transports.realtime_api.session import Abilities, Session
from voice_agent.turns.settings import TurnSettings

Outputs = list[Output]


class _SessionCreated(api.SessionCreatedEvent):
    """The package's event leaves out the session's id, which the API does not."""

    session: api.RealtimeSessionCreateResponse  # type: ignore[assignment]


class _SessionUpdated(api.SessionUpdatedEvent):
    session: api.RealtimeSessionCreateResponse  # type: ignore[assignment]


@dataclass(slots=True)
class Speech:
    """A voice that may become a turn; its item has a name before there is one."""

    item_id: str
    began_ms: float
    """By the media clock laid on ours."""
    announced: bool = False
    item: Item | None = None
    """The item, where the client has committed it before it was decided."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the protocol is told of the world.

    ``new_id`` makes an id from a prefix; ``position`` returns where in all the audio appended, ms,
    a moment of our clock lies; ``rates`` what is left of the client's events: limit, remaining,
    seconds until all is there again.
    """

    new_id: Callable[[str], str]
    position: Callable[[float], float]
    rates: Callable[[], tuple[int, int, float]]


@dataclass(slots=True)
class Talk:
    """The conversation as the API sees it."""

    session: Session
    abilities: Abilities
    base: TurnSettings
    """The pipeline's turn settings."""
    around: Around
    conversation_id: str
    items: Items = field(default_factory=Items)
    ledger: ItemLedger = field(init=False)
    own_tools: bool = True
    """The client has not said which tools there are: the agent's own are."""
    spoke: bool = False
    """A response with audio was begun: the voice is settled."""
    answered: bool = False
    """There has been a response to the conversation."""
    response: Response | None = None
    """The response to the conversation that is under way."""
    wanted: bool = False
    """``response`` was asked for and waits for a commit to be settled."""
    asides: dict[str, Response] = field(default_factory=dict)
    """Responses beside the conversation, by their ids."""
    speech: Speech | None = None
    commits: deque[Item] = field(default_factory=deque)
    """Committed and not yet recognised."""
    unheard: dict[int, tuple[Item, float]] = field(default_factory=dict)
    """Transcripts that are told when their turn can no more be taken back: the item and the length
    of its speech, s; by turn."""
    appended_bytes: int = 0
    """Audio appended since the last commit or clear."""
    texts: dict[Any, str] = field(default_factory=dict)
    """What was written of answers that are not released yet; by tag."""
    counts: dict[Any, int] = field(default_factory=dict)
    """Tokens written so far, by tag."""

    def __post_init__(self) -> None:
        self.ledger = ItemLedger(self.session["instructions"], self.items)

    # ----- what is in force -----

    @property
    def shows_transcripts(self) -> bool:
        """Whether the client wants to know what the user said."""
        return self.session["audio"]["input"]["transcription"] is not None

    @property
    def detection(self) -> dict[str, Any] | None:
        """Turn detection as the session has it."""
        detection: dict[str, Any] | None = self.session["audio"]["input"]["turn_detection"]
        return detection

    def manner(self) -> Manner:
        """Return how responses are made that nobody asked for in particular."""
        output = self.session["audio"]["output"]
        aloud = self.session["output_modalities"] == ["audio"]
        return Manner(aloud, output["format"], output["voice"])

    def wishes(self, asked: dict[str, Any] | None = None) -> Wishes:
        """Return what answers are made from; ``asked``: one response's own terms."""
        asked = asked or {}
        manner = self.manner()
        tools = asked.get("tools")
        if tools is None and not self.own_tools:
            tools = self.session["tools"]
        choice = asked.get("tool_choice", self.session["tool_choice"])
        if isinstance(choice, dict):
            choice = {"type": "function", "function": {"name": choice["name"]}}
        modalities = asked.get("output_modalities", self.session["output_modalities"])
        return Wishes(
            self.session["instructions"],
            tuple(tools) if tools is not None else None,
            choice,
            modalities == ["audio"],
            asked.get("voice", manner.voice),
            self.session["audio"]["output"]["speed"],
        )

    # ----- events -----

    def event(self, model: type[BaseModel], kind: str, **fields: Any) -> BaseModel:
        """Return a server event."""
        return model(type=kind, event_id=self.around.new_id("event"), **fields)

    def session_created(self) -> BaseModel:
        """Return the event that shows the session as it begins."""
        return self.event(_SessionCreated, "session.created", session=self.session)

    def session_updated(self) -> BaseModel:
        """Return the event that shows the session as it is now."""
        return self.event(_SessionUpdated, "session.updated", session=self.session)

    def refusal(self, refused: Refused, event_id: str | None) -> BaseModel:
        """Return the event that tells of a refusal."""
        return self.error("invalid_request_error", refused, event_id)

    def error(self, kind: str, refused: Refused, event_id: str | None = None) -> BaseModel:
        """Return an error event."""
        error = {
            "type": kind,
            "code": refused.code,
            "message": refused.message,
            "param": refused.param,
            "event_id": event_id,
        }
        return self.event(api.RealtimeErrorEvent, "error", error=error)

    def item_events(self, item: Item) -> Outputs:
        """Return the events of an item that is complete when it is added."""
        shown = item.model(shown=self.shows_transcripts)
        fields = {"item": shown, "previous_item_id": self.items.before(item)}
        return [
            self.event(api.ConversationItemAdded, "conversation.item.added", **fields),
            self.event(api.ConversationItemDone, "conversation.item.done", **fields),
        ]

    def begin_response(self, manner: Manner | None = None) -> Outputs:
        """Begin the response to the conversation."""
        response = Response(
            self.around.new_id("resp"),
            manner or self.manner(),
            self.conversation_id,
            self.items,
            self.around.new_id,
        )
        self.response = response
        self.answered = True
        self.spoke = self.spoke or response.manner.aloud
        limit, remaining, reset_s = self.around.rates()
        rate = {"name": "requests", "limit": limit, "remaining": remaining}
        rates = self.event(
            api.RateLimitsUpdatedEvent,
            "rate_limits.updated",
            rate_limits=[{**rate, "reset_seconds": reset_s}],
        )
        return [*response.created(), rates]

    def end_response(self, status: Ended, reason: str | None = None, error: str = "") -> Outputs:
        """End the response to the conversation, if there is one."""
        response, self.response, self.wanted = self.response, None, False
        if response is None:
            return []
        if response.tag is not None:
            response.tokens.output = self.counts.pop(response.tag, response.tokens.output)
            self.texts.pop(response.tag, None)
        # What the next answers are made from is the session's again.
        return [*response.done(status, reason, error), self.wishes()]
