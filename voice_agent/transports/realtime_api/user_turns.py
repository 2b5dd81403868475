"""What the user does, as the client is told it: a voice, its end, an item, its transcript. Pure.

A turn can be taken back before anything of its answer was heard, so what was transcribed is told
only once nothing can be taken back any more.
"""

from __future__ import annotations

from openai.types import realtime as api

from voice_agent.transports.realtime_api.items import Item
from voice_agent.transports.realtime_api.outputs import Tell
from voice_agent.transports.realtime_api.talk import Outputs, Talk
from voice_agent.turns.events import Typed


class UserTurns:
    """The user's side of ``talk``."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def announce(self) -> Outputs:
        """Tell that the user speaks, if that is not known yet."""
        talk = self._talk
        speech = talk.speech
        if speech is None or speech.announced:
            return []
        speech.announced = True
        padding = (talk.detection or {}).get("prefix_padding_ms", 0)
        if talk.detection is None:
            return []
        return [
            talk.event(
                api.InputAudioBufferSpeechStartedEvent,
                "input_audio_buffer.speech_started",
                item_id=speech.item_id,
                audio_start_ms=max(0, round(talk.around.position(speech.began_ms) - padding)),
            )
        ]

    def _stopped_speaking(self, stopped_ms: float) -> Outputs:
        talk = self._talk
        speech, talk.speech = talk.speech, None
        if speech is None or not speech.announced or speech.item is not None:
            return []
        if talk.detection is None:
            return []
        waited = talk.detection.get("silence_duration_ms", 0)
        return [
            talk.event(
                api.InputAudioBufferSpeechStoppedEvent,
                "input_audio_buffer.speech_stopped",
                item_id=speech.item_id,
                audio_end_ms=max(0, round(talk.around.position(stopped_ms) + waited)),
            )
        ]

    def user_turn(self, turn: int, text: str, stopped_ms: float) -> Outputs:
        """The user's turn is decided: it is an item now, or was one since it was committed."""
        talk = self._talk
        speech = talk.speech
        spoken_s = max(0.0, stopped_ms - speech.began_ms) / 1000.0 if speech is not None else 0.0
        outputs: Outputs = []
        if talk.commits:
            item = talk.commits.popleft()
            talk.speech = None
        else:
            item_id = speech.item_id if speech is not None else talk.around.new_id("item")
            outputs += self._stopped_speaking(stopped_ms)
            item = Item(item_id, role="user", spoken=True)
            outputs += self._committed(item)
        item.turn, item.text = turn, text
        talk.unheard[turn] = (item, spoken_s)
        return outputs

    def settle(self, turn: int) -> Outputs:
        """A turn can no more be taken back: tell what was transcribed."""
        waiting = self._talk.unheard.pop(turn, None)
        return self._transcribed(*waiting) if waiting is not None else []

    def _transcribed(self, item: Item, spoken_s: float) -> Outputs:
        talk = self._talk
        if not talk.shows_transcripts or talk.items.find(item.id) is None:
            return []
        kind = "conversation.item.input_audio_transcription"
        place = {"item_id": item.id, "content_index": 0}
        text = item.text or ""
        delta = api.ConversationItemInputAudioTranscriptionDeltaEvent
        completed = api.ConversationItemInputAudioTranscriptionCompletedEvent
        usage = {"type": "duration", "seconds": round(spoken_s, 3)}
        return [
            *([talk.event(delta, f"{kind}.delta", delta=text, **place)] if text else []),
            talk.event(completed, f"{kind}.completed", transcript=text, usage=usage, **place),
        ]

    def correct(self, turn: int, text: str) -> Outputs:
        """A better transcript of a turn came late."""
        item = self._talk.items.user_turn(turn)
        if item is None:
            return []
        item.text = text
        return [] if turn in self._talk.unheard else self._transcribed(item, 0.0)

    def no_turn(self) -> Outputs:
        """There was a voice and no words, or a commit without any."""
        talk = self._talk
        if talk.commits:
            talk.speech = None
            item = talk.commits.popleft()
            item.text = ""
            return self._transcribed(item, 0.0)
        speech = talk.speech
        return self._stopped_speaking(speech.began_ms) if speech is not None else []

    def timed_out(self, since_ms: float, now_ms: float) -> Outputs:
        """Nobody has said anything since the last response: the silence is an item, and answered.

        ``since_ms`` and ``now_ms``: where it began and is, by our clock.
        """
        talk = self._talk
        if talk.response is not None or talk.wanted or talk.commits or talk.speech is not None:
            return []
        item = Item(talk.around.new_id("item"), role="user", spoken=True)
        item.text = ""
        start_ms, end_ms = (
            max(0, round(talk.around.position(at_ms))) for at_ms in (since_ms, now_ms)
        )
        kind = "input_audio_buffer"
        outputs: Outputs = [
            talk.event(
                api.InputAudioBufferTimeoutTriggered,
                f"{kind}.timeout_triggered",
                item_id=item.id,
                audio_start_ms=start_ms,
                audio_end_ms=end_ms,
            )
        ]
        outputs += self._committed(item)
        return [*outputs, *self._transcribed(item, 0.0), Tell(Typed(""))]

    def _committed(self, item: Item) -> Outputs:
        talk = self._talk
        talk.items.add(item)
        talk.appended_bytes = 0
        committed = talk.event(
            api.InputAudioBufferCommittedEvent,
            "input_audio_buffer.committed",
            item_id=item.id,
            previous_item_id=talk.items.before(item),
        )
        return [committed, *talk.item_events(item)]
