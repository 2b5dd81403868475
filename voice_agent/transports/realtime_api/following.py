"""What the turn engine's decisions mean to the client: turns become items, answers responses. Pure.

Two things differ from a server that only has a VAD. A voice over the agent's is told
(``speech_started``, on which clients stop playing) only when it is known to be an interruption; a
backchannel is not told at all. And a turn can be taken back before anything of its answer was
heard: then its item is deleted, its response cancelled, and the same words come again with the
rest, so what was transcribed is told only once nothing can be taken back any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from openai.types import realtime as api

from voice_agent.transports.realtime_api.memory import Terms
from voice_agent.transports.realtime_api.outputs import Tell
from voice_agent.transports.realtime_api.protocol import Protocol
from voice_agent.transports.realtime_api.responses import Response
from voice_agent.transports.realtime_api.talk import Outputs, Speech, Talk
from voice_agent.transports.realtime_api.user_turns import UserTurns
from voice_agent.turns.events import (
    Action,
    Apologise,
    Audible,
    Bound,
    Carry,
    Correct,
    Drop,
    Event,
    Greet,
    Hush,
    NoTurn,
    Release,
    Remember,
    Resume,
    Retract,
    Silenced,
    Stop,
    Tag,
    Typed,
    Unduck,
    VoiceStarted,
)
from voice_agent.turns.playout import FirstSound, PlayedOut, PlayoutEvent, WordsPlayed
from voice_agent.turns.state import Agent, State, User

FAILED = "The answer could not be made."


class Following:
    """The engine's side of ``talk``."""

    def __init__(self, talk: Talk, protocol: Protocol) -> None:
        self._talk = talk
        self._protocol = protocol
        self._user = UserTurns(talk)
        self.in_flight_ms = 0.0
        """Audio that was sent and cannot have been heard yet."""
        self._sounding: Tag | None = None
        """The answer that is known to be heard; until its first sound it may yet be another."""
        self._silent_words: list[str] = []
        """Words of the answer under way whose audio was silent so far."""

    def timed_out(self, since_ms: float, now_ms: float) -> Outputs:
        """Nobody has said anything for as long as the session allows; see ``UserTurns``."""
        return self._user.timed_out(since_ms, now_ms)

    # ----- what was decided and what was played -----

    def observe(
        self, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> Outputs:
        """Take one event, what was decided on it, and the state after it."""
        talk = self._talk
        outputs: Outputs = []
        match event:
            case VoiceStarted(at) if state.user is User.SPEAKING and talk.speech is None:
                talk.speech = Speech(talk.around.new_id("item"), at)
            case FirstSound(tag):
                outputs += self._user.settle(tag.turn)
                self._sounding = tag
                for text in self._silent_words:
                    outputs += self._words(tag, text)
                self._silent_words.clear()
            case Bound(tag):
                outputs += self._user.settle(tag.turn)
            case WordsPlayed(tag, text):
                outputs += self._words(tag, text)
            case PlayedOut(tag, _) if self._is_response(tag):
                outputs += self._user.settle(tag.turn)
                outputs += talk.end_response("completed")
            case _:
                pass
        if state.agent not in (Agent.DUCKED, Agent.SPEAKING):
            outputs += self._user.announce()
        for action in actions:
            outputs += self._act(event, action, actions, state)
        return outputs

    def _act(
        self,
        event: Event | PlayoutEvent,
        action: Action,
        actions: Sequence[Action],
        state: State,
    ) -> Outputs:
        match action:
            case Release(tag, text, stopped_ms):
                return self._release(event, tag, text, stopped_ms)
            case Remember(turn, text, stopped_ms):
                return [
                    *self._user.user_turn(turn, text, stopped_ms),
                    *self._user.settle(turn),
                    *self._settled(),
                ]
            case Retract(tag):
                return self._retract(tag)
            case Greet(tag):
                return self._recited(self._begin(tag))
            case Resume(tag):
                self._sounding = tag
                return self._begin(tag)
            case Apologise(tag):
                return self._recited(self._rename(tag.turn, tag))
            case Carry(tag, again):
                self._sounding = again
                return self._rename(tag.turn, again)
            case Stop(tag) if self._is_response(tag):
                return self._stopped(event, state)
            case Drop(tag):
                return self._dropped(event, tag, actions)
            case Correct(turn, text):
                return self._user.correct(turn, text)
            case Hush() if self._talk.response is not None:
                self._talk.response.paused()
                return []
            case NoTurn() | Unduck():
                return [*self._user.no_turn(), *self._settled()]
            case _:
                return []

    def _settled(self) -> Outputs:
        """Nothing is left to be recognised: what was asked for meanwhile can begin."""
        talk = self._talk
        if not talk.wanted or talk.commits:
            return []
        talk.wanted = False
        return [Tell(Typed(""))]

    # ----- answers -----

    def _is_response(self, tag: Tag) -> bool:
        response = self._talk.response
        return response is not None and response.tag == tag

    def _release(
        self, event: Event | PlayoutEvent, tag: Tag, text: str, stopped_ms: float
    ) -> Outputs:
        response = self._talk.response
        again = response is not None and response.tag is not None and response.tag.turn == tag.turn
        if again:
            item = self._talk.items.user_turn(tag.turn)
            if item is not None and text:
                item.text = text
            return self._rename(tag.turn, tag)
        asked = isinstance(event, Typed)
        said = [] if asked else self._user.user_turn(tag.turn, text, stopped_ms)
        return [*said, *self._begin(tag)]

    def _begin(self, tag: Tag) -> Outputs:
        """An answer begins to be heard: as the response that was asked for, or one of its own."""
        talk = self._talk
        outputs: Outputs = []
        if talk.response is None:
            outputs += talk.begin_response()
        response = talk.response
        assert response is not None
        if response.tag is None:
            talk.ledger.terms = {tag.turn: self._protocol.terms or Terms()}
            self._protocol.terms = None
        response.tag, talk.wanted = tag, False
        written = talk.texts.pop(tag, "")
        return [*outputs, *self._write(response, written)]

    def _rename(self, turn: int, tag: Tag) -> Outputs:
        response = self._talk.response
        if response is not None and response.tag is not None and response.tag.turn == turn:
            response.tag = tag
            return self._write(response, self._talk.texts.pop(tag, ""))
        return []

    def _recited(self, outputs: Outputs) -> Outputs:
        """What is said now is no language model's: its words are told as they are heard."""
        if self._talk.response is not None:
            self._talk.response.recited = True
        return outputs

    def _retract(self, tag: Tag) -> Outputs:
        talk = self._talk
        self._silent_words.clear()
        outputs: Outputs = []
        if self._is_response(tag):
            outputs += talk.end_response("cancelled", "turn_detected")
        talk.unheard.pop(tag.turn, None)
        item = talk.items.user_turn(tag.turn)
        if item is not None:
            talk.items.remove(item)
            kind = "conversation.item.deleted"
            outputs.append(talk.event(api.ConversationItemDeletedEvent, kind, item_id=item.id))
        return outputs

    def _stopped(self, event: Event | PlayoutEvent, state: State) -> Outputs:
        talk = self._talk
        if isinstance(event, Silenced):
            return talk.end_response("cancelled", "client_cancelled")
        if state.agent is Agent.IDLE and not isinstance(event, Typed):
            return talk.end_response("failed", error=FAILED)
        return [*self._user.announce(), *talk.end_response("cancelled", "turn_detected")]

    def _dropped(self, event: Event | PlayoutEvent, tag: Tag, actions: Sequence[Action]) -> Outputs:
        talk = self._talk
        self._silent_words.clear()
        talk.texts.pop(tag, None)
        talk.counts.pop(tag, None)
        if not self._is_response(tag):
            return []
        for action in actions:
            match action:
                case Release(again, _, _) | Apologise(again) if again.turn == tag.turn:
                    return []  # it is asked for once more, or apologised for
                case _:
                    pass
        outputs = self._user.settle(tag.turn)
        if isinstance(event, Silenced):
            return [*outputs, *talk.end_response("cancelled", "client_cancelled")]
        return [*outputs, *talk.end_response("failed", error=FAILED)]

    # ----- what answers are made of -----

    def _words(self, tag: Tag, text: str) -> Outputs:
        """Words were heard; those of an answer without a sound so far are only kept."""
        response = self._talk.response
        if response is None or response.tag != tag:
            return []
        if not response.manner.aloud:
            written = not response.recited or tag in self._talk.counts
            return [] if written else list(response.text(f" {text}"))
        if tag != self._sounding:
            self._silent_words.append(text)
            return []
        return list(response.heard(text, self.in_flight_ms))

    def audio(self, encoded: str, ms: float) -> Outputs:
        """Audio of the response under way is sent."""
        response = self._talk.response
        if response is None or not response.manner.aloud:
            return []
        return list(response.audio(encoded, ms))

    def wrote(self, tag: Tag, text: str) -> Outputs:
        """The language model wrote a token of an answer, released or not."""
        talk = self._talk
        talk.counts[tag] = talk.counts.get(tag, 0) + 1
        response = talk.response
        if response is not None and response.tag == tag:
            return self._write(response, text)
        talk.texts[tag] = talk.texts.get(tag, "") + text
        return []

    def _write(self, response: Response, text: str) -> Outputs:
        if response.manner.aloud or not text or response.tag is None:
            return []
        first = response.message is None
        outputs: Outputs = list(response.text(text))
        if first and outputs:
            outputs += [*self._user.settle(response.tag.turn), Tell(Audible(response.tag))]
        return outputs

    def called(self, tag: Tag, call_id: str, name: str, arguments: str) -> Outputs:
        """The language model calls one of the client's functions; its turn is decided."""
        response = self._talk.response
        if response is None or response.tag != tag:
            return []
        return [*self._user.settle(tag.turn), *response.call(call_id, name, arguments)]

    def wrote_aside(self, response_id: str, text: str | None) -> Outputs:
        """An answer beside the conversation is there; None: it could not be made."""
        response = self._talk.asides.pop(response_id, None)
        if response is None:
            return []
        if text is None:
            return list(response.done("failed", error=FAILED))
        return [*response.text(text), *response.done("completed")]
