"""What a client's events do: each is carried out, or refused in the API's own words. Pure.

``Protocol.receive`` takes one event and returns server events and commands in order. What the turn
engine makes of the commands comes back through ``following``.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from openai.types import realtime as api
from openai.types.realtime.realtime_server_event import ConversationItemRetrieved

from voice_agent.transports.realtime_api import parsing, session
from voice_agent.transports.realtime_api.items import Item, brought, messages_of
from voice_agent.transports.realtime_api.memory import Terms
from voice_agent.transports.realtime_api.outputs import (
    Aside,
    Clear,
    Commit,
    Hear,
    Listen,
    Tell,
    Withdraw,
)
from voice_agent.transports.realtime_api.refusals import Refused, invalid, unsupported
from voice_agent.transports.realtime_api.responses import Manner, Response
from voice_agent.transports.realtime_api.talk import Outputs, Talk
from voice_agent.turns.events import Committed, Greeting, Silenced, Typed

SHORTEST_COMMIT_MS = 100.0
ITEMS_MAX = 2000
ASIDES_MAX = 4
TEXT_MAX = 256 * 1024
"""Characters of one item."""


class Protocol:
    """The client's side of ``talk``.

    Args:
        talk: What is shared with the engine's side.
        greeting: The agent's greeting: what a client gets who asks for a response to nothing.
    """

    def __init__(self, talk: Talk, *, greeting: bool = False) -> None:
        self._talk = talk
        self._greeting = greeting
        self.terms: Terms | None = None
        """Of the response that is about to begin."""

    def opened(self) -> Outputs:
        """Return what a client is told first."""
        talk = self._talk
        return [
            talk.session_created(),
            talk.wishes(),
            *self._listening(),
        ]

    def receive(self, message: dict[str, Any]) -> Outputs:
        """Carry out a client's event."""
        try:
            return self._receive(message)
        except Refused as refused:
            return [self._talk.refusal(refused, parsing.event_id_of(message))]

    def _receive(self, message: dict[str, Any]) -> Outputs:
        event = parsing.client_event(message)
        match event:
            case api.InputAudioBufferAppendEvent():
                return self._append(event.audio)
            case api.InputAudioBufferCommitEvent():
                return self._commit()
            case api.InputAudioBufferClearEvent():
                return self._clear()
            case api.SessionUpdateEvent():
                return self._update(parsing.session(message["session"], "session"))
            case api.ConversationItemCreateEvent():
                wanted = parsing.item(message["item"], "item")
                return self._create_item(wanted, event.previous_item_id)
            case api.ConversationItemRetrieveEvent():
                item = self._talk.items.get(event.item_id, "retrieve")
                shown = item.model(shown=self._talk.shows_transcripts)
                kind = "conversation.item.retrieved"
                return [self._talk.event(ConversationItemRetrieved, kind, item=shown)]
            case api.ConversationItemDeleteEvent():
                self._talk.items.remove(self._talk.items.get(event.item_id, "delete"))
                kind = "conversation.item.deleted"
                return [
                    self._talk.event(api.ConversationItemDeletedEvent, kind, item_id=event.item_id)
                ]
            case api.ConversationItemTruncateEvent():
                return self._truncate(event)
            case api.ResponseCreateEvent():
                return self._respond(event, message.get("response") or {})
            case api.ResponseCancelEvent():
                return self._cancel(event.response_id)
            case api.OutputAudioBufferClearEvent():
                raise unsupported("type", "output_audio_buffer.clear (it is for WebRTC) is")

    # ----- the session -----

    def _update(self, wanted: api.RealtimeSessionCreateRequest) -> Outputs:
        talk = self._talk
        talk.session = session.updated(talk.session, wanted, talk.abilities, spoke=talk.spoke)
        if "tools" in wanted.model_fields_set:
            talk.own_tools = False
        talk.ledger.system = talk.session["instructions"]
        updated = talk.session_updated()
        # A response under way keeps its terms until it is over.
        wishes = [] if talk.response is not None else [talk.wishes()]
        return [updated, *wishes, *self._listening()]

    def _listening(self) -> Outputs:
        talk = self._talk
        detection = talk.detection or {}
        threshold = detection.get("threshold")
        format = talk.session["audio"]["input"]["format"]["type"]
        return [Listen(format, threshold), Tell(session.turns(talk.detection, talk.base))]

    # ----- the input audio buffer -----

    def _append(self, encoded: str) -> Outputs:
        try:
            audio = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise invalid("audio", "expected base64-encoded audio bytes.") from None
        pcm = self._talk.session["audio"]["input"]["format"]["type"] == "audio/pcm"
        if pcm and len(audio) % 2:
            raise invalid("audio", "expected whole samples of mono PCM16 at 24kHz.")
        self._talk.appended_bytes += len(audio)
        return [Hear(audio)] if audio else []

    def _appended_ms(self) -> float:
        format = self._talk.session["audio"]["input"]["format"]["type"]
        return self._talk.appended_bytes / (48.0 if format == "audio/pcm" else 8.0)

    def _commit(self) -> Outputs:
        talk = self._talk
        if (ms := self._appended_ms()) < SHORTEST_COMMIT_MS:
            raise Refused(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{SHORTEST_COMMIT_MS:.0f}ms of audio, but buffer only has {ms:.2f}ms of audio.",
            )
        speech = talk.speech
        if speech is not None and speech.item is not None:
            speech = None
        item_id = speech.item_id if speech is not None else talk.around.new_id("item")
        item = Item(item_id, role="user", spoken=True)
        self._room()
        talk.items.add(item)
        talk.commits.append(item)
        talk.appended_bytes = 0
        if speech is not None:
            speech.item = item
        committed = talk.event(
            api.InputAudioBufferCommittedEvent,
            "input_audio_buffer.committed",
            item_id=item.id,
            previous_item_id=talk.items.before(item),
        )
        return [committed, *talk.item_events(item), Commit()]

    def _clear(self) -> Outputs:
        talk = self._talk
        talk.appended_bytes = 0
        kind = "input_audio_buffer.cleared"
        return [Clear(), talk.event(api.InputAudioBufferClearedEvent, kind)]

    # ----- items -----

    def _create_item(self, wanted: Any, after: str | None) -> Outputs:
        talk = self._talk
        self._room()
        item = brought(wanted, wanted.id or talk.around.new_id("item"), "item")
        if len(item.text or "") + len(item.arguments) + len(item.output) > TEXT_MAX:
            raise invalid("item", f"must not be longer than {TEXT_MAX} characters")
        if item.type == "function_call_output" and not talk.items.called(item.call_id):
            raise Refused(
                "invalid_tool_call_id",
                f"Tool call ID '{item.call_id[:64]}' not found in conversation.",
                "item.call_id",
            )
        talk.items.add(item, after)
        return talk.item_events(item)

    def _room(self) -> None:
        if len(self._talk.items) >= ITEMS_MAX:
            message = f"The conversation has {ITEMS_MAX} items, and no room for more."
            raise Refused("conversation_too_long", message)

    def _truncate(self, event: api.ConversationItemTruncateEvent) -> Outputs:
        talk = self._talk
        item = talk.items.get(event.item_id, "truncate")
        if item.role != "assistant" or not item.spoken:
            message = "Only model output audio messages can be truncated"
            raise Refused("unsupported_content_type", message, "item_id")
        if event.content_index != 0:
            raise invalid("content_index", "the item has one content part, of index 0")
        if not 0 <= event.audio_end_ms <= item.audio_ms + 1:
            message = (
                f"Audio content of {item.audio_ms:.0f}ms is already shorter than "
                f"{event.audio_end_ms}ms"
            )
            raise Refused("invalid_value", message, "audio_end_ms")
        kept = [(word, at_ms) for word, at_ms in item.words if at_ms < event.audio_end_ms]
        if len(kept) < len(item.words):
            item.words = kept
            item.text = " ".join(word for word, _ in kept)
            if item.status == "completed":
                item.status = "incomplete"
        item.audio_ms = float(event.audio_end_ms)
        return [
            talk.event(
                api.ConversationItemTruncatedEvent,
                "conversation.item.truncated",
                item_id=item.id,
                content_index=0,
                audio_end_ms=event.audio_end_ms,
            )
        ]

    # ----- responses -----

    def _respond(self, event: api.ResponseCreateEvent, raw: dict[str, Any]) -> Outputs:
        talk = self._talk
        params = event.response
        asked = params.model_dump(mode="json", exclude_unset=True) if params else {}
        self._check(asked)
        manner = self._manner(asked)
        messages = self._messages(raw["input"]) if raw.get("input") is not None else None
        if not manner.in_conversation:
            return self._respond_aside(asked, manner, messages)
        if talk.response is not None:
            raise Refused(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{talk.response.id}. Wait until the response is finished before creating a new "
                "one.",
            )
        self.terms = Terms(asked.get("instructions"), messages)
        greets = self._greeting and not len(talk.items) and not asked.keys() - {"metadata"}
        begun = [*talk.begin_response(manner), talk.wishes(asked)]
        if talk.commits:
            talk.wanted = True
            return begun
        if talk.speech is not None and talk.speech.announced:
            # The user is still speaking, as far as is known: what was said so far is answered.
            talk.wanted = True
            return [*begun, Tell(Committed())]
        return [*begun, Tell(Greeting() if greets else Typed(""))]

    def _check(self, asked: dict[str, Any]) -> None:
        for refused, what in (("prompt", "Stored prompts are"),):
            if asked.get(refused):
                raise unsupported(f"response.{refused}", what)
        if asked.get("max_output_tokens", "inf") not in ("inf", None):
            raise unsupported("response.max_output_tokens", "A bound on output tokens is")
        for name in [name for name, value in asked.items() if value is None]:
            del asked[name]
        if "output_modalities" in asked:
            session.modalities(asked["output_modalities"], "response")
        if "tools" in asked:
            asked["tools"] = session.tools(asked["tools"], "response.tools")
        offered = asked["tools"] if "tools" in asked else self._talk.session["tools"]
        session.tool_choice(asked.get("tool_choice"), offered, "response.tool_choice")

    def _manner(self, asked: dict[str, Any]) -> Manner:
        talk = self._talk
        usual = talk.manner()
        output = (asked.get("audio") or {}).get("output") or {}
        voice = usual.voice
        if output.get("voice") is not None:
            at = "response.audio.output.voice"
            voice = session.voice(output["voice"], talk.abilities, at)
            if talk.spoke and voice != usual.voice:
                message = "Cannot update a conversation's voice if assistant audio is present."
                raise Refused("cannot_update_voice", message, at)
            asked["voice"] = voice
        format = usual.format
        if output.get("format") is not None:
            format = session.audio_format(output["format"])
        conversation = asked.get("conversation", "auto")
        if conversation not in ("auto", "none", talk.conversation_id):
            raise invalid("response.conversation", "must be 'auto' or 'none'")
        aloud = asked["output_modalities"] == ["audio"] if "output_modalities" in asked else None
        return Manner(
            usual.aloud if aloud is None else aloud,
            format,
            voice,
            asked.get("metadata"),
            conversation != "none",
        )

    def _messages(self, wanted: Any) -> tuple[dict[str, Any], ...]:
        """Return the messages that a response is to be made from in place of the conversation."""
        if not isinstance(wanted, list):
            raise Refused("invalid_type", "Expected an array.", "response.input")
        items: list[Item] = []
        for index, each in enumerate(wanted):
            at = f"response.input[{index}]"
            if isinstance(each, dict) and each.get("type") == "item_reference":
                items.append(self._talk.items.get(str(each.get("id")), "retrieve"))
            else:
                items.append(brought(parsing.item(each, at), "", at))
        outputs = {item.call_id: item for item in items if item.type == "function_call_output"}
        return tuple(message for item in items for message in messages_of(item, outputs))

    def _respond_aside(
        self, asked: dict[str, Any], manner: Manner, messages: tuple[dict[str, Any], ...] | None
    ) -> Outputs:
        talk = self._talk
        if manner.aloud:
            raise unsupported(
                "response.output_modalities", "Audio outside the conversation (ask for ['text']) is"
            )
        if asked.get("tools"):
            raise unsupported("response.tools", "Tools outside the conversation are")
        if len(talk.asides) >= ASIDES_MAX:
            message = f"There are {ASIDES_MAX} responses outside the conversation in progress."
            raise Refused("rate_limit_exceeded", message)
        response = Response(
            talk.around.new_id("resp"),
            manner,
            talk.conversation_id,
            talk.items,
            talk.around.new_id,
        )
        talk.asides[response.id] = response
        instructions = asked.get("instructions", talk.session["instructions"])
        said = talk.items.messages() if messages is None else list(messages)
        system = [{"role": "system", "content": instructions}] if instructions else []
        return [*response.created(), Aside(response.id, (*system, *said))]

    def _cancel(self, response_id: str | None) -> Outputs:
        talk = self._talk
        if response_id in talk.asides:
            aside = talk.asides.pop(response_id)
            return [*aside.done("cancelled", "client_cancelled"), Withdraw(aside.id)]
        response = talk.response
        if response is None or response_id not in (None, response.id):
            message = "Cancellation failed: no active response found"
            raise Refused("response_cancel_not_active", message)
        if response.tag is None:
            return talk.end_response("cancelled", "client_cancelled")
        return [Tell(Silenced())]
