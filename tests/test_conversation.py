"""One conversation with real engines and no network: guesses, tools, interruptions, memory."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import InterimTranscriptionFrame, TranscriptionFrame

from voice_agent.config import load_pipeline
from voice_agent.conversation import Conversation
from voice_agent.llm.scripted import ScriptedService
from voice_agent.media import AudioSource, HeardAudio, now_ms
from voice_agent.resources import Resources
from voice_agent.trace.model import Session, Turn
from voice_agent.trace.tracing import Tracing
from voice_agent.turns.events import Drop, Release, Speculate, Typed, VoiceStarted, VoiceStopped
from voice_agent.turns.playout import FirstSound, PlayedOut

BOOKING = "please book a table for four people tomorrow at seven please"


class Line:
    """A transport without a network: pulls in real time, hears nothing, keeps what it was told."""

    name = "line"
    ids: Mapping[str, str] = {}
    audio_out_hz = 16_000

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.loud_blocks = 0
        self._gone = asyncio.Event()
        self._pulling: asyncio.Task[None] | None = None

    async def heard(self) -> AsyncIterator[HeardAudio]:
        await self._gone.wait()
        return
        yield

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        yield {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": "2.0.0"}}
        await self._gone.wait()

    def play(self, source: AudioSource) -> None:
        self._pulling = asyncio.create_task(self._pull(source))

    async def _pull(self, source: AudioSource) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.loud_blocks += bool(source.pull(320).any())
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def send(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    async def close(self) -> None:
        self._gone.set()
        if self._pulling is not None:
            self._pulling.cancel()


class Traced:
    """Keeps the turns that are over."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def turn(self, turn: Turn) -> None:
        pass

    def finished(self, turn: Turn) -> None:
        self.turns.append(turn)

    def session(self, session: Session) -> None:
        pass


class Caller:
    """Says things to a conversation by telling it what ears and recognition would."""

    def __init__(
        self, conversation: Conversation, line: Line, database: Path, traced: Traced
    ) -> None:
        self.conversation = conversation
        self.line = line
        self._traced = traced
        self._database = database
        self._seen: list[object] = []
        self._news = asyncio.Event()
        conversation._taking.observe(self._note)

    def _note(self, now: float, event: object, actions: Any, state: object) -> None:
        self._seen += [event, *actions]
        self._news.set()

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait for a condition; looks again whenever something happens, or a moment later."""
        async with asyncio.timeout(15):
            while not happened():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.02)

    def seen(self, kind: type) -> list[Any]:
        return [each for each in self._seen if isinstance(each, kind)]

    def starts(self) -> None:
        self.conversation._taking.post(VoiceStarted(now_ms()))

    def stops(self) -> None:
        self.conversation._taking.post(VoiceStopped(now_ms()))

    async def partial(self, text: str) -> None:
        await self._hear(InterimTranscriptionFrame(text, "user", ""))

    async def final(self, text: str) -> None:
        await self._hear(TranscriptionFrame(text, "user", "", finalized=True))

    async def _hear(self, frame: InterimTranscriptionFrame | TranscriptionFrame) -> None:
        # As the ASR service pushes it: to the processor behind it.
        await self.conversation._taking.queue_frame(frame)

    def types(self, text: str) -> None:
        self.conversation._taking.post(Typed(text))

    def bookings(self) -> int:
        with sqlite3.connect(self._database) as database:
            return int(database.execute("select count(*) from bookings").fetchone()[0])

    def traced(self) -> list[Turn]:
        """Return the turns that are over."""
        return self._traced.turns

    def told(self, kind: str) -> list[dict[str, Any]]:
        data = [m["data"] for m in self.line.told if m.get("type") == "server-message"]
        return [each for each in data if each.get("type") == kind]


@pytest.fixture
def calling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Returns a context manager that holds a conversation of the embedded agent."""
    monkeypatch.setenv("VOICE_AGENT_DATA", str(tmp_path))

    @asynccontextmanager
    async def call(*overrides: str) -> AsyncIterator[Caller]:
        fixed = ["asr.engine=scripted", "greeting=false", "turns.sound_model=false"]
        pipeline = load_pipeline("embedded", [*fixed, *overrides])
        resources, tracing, traced = Resources(pipeline), Tracing(pipeline), Traced()
        tracing.add(traced)
        await resources.start()
        line = Line()
        conversation = Conversation(resources, line, tracing=tracing)
        caller = Caller(conversation, line, tmp_path / "bella-notte.sqlite", traced)
        task = asyncio.create_task(conversation.run())
        try:
            await caller.until(lambda: caller.told("session"))
            yield caller
        finally:
            conversation.hang_up("gone")
            await task
            await resources.stop()

    return call


async def test_a_booking_is_made_when_the_turn_is_decided_and_not_on_a_guess(calling: Any) -> None:
    """The answer is started early, but what has side effects waits for the decision."""
    async with calling("turns.speculate_stable_ms=0", "turns.floor_ms=400") as caller:
        caller.starts()
        await caller.partial(BOOKING)
        await caller.until(lambda: caller.conversation._taking.answers._drafts and _called(caller))
        assert caller.seen(Speculate)
        assert not caller.seen(Release)
        assert caller.bookings() == 0
        caller.stops()
        await caller.final(BOOKING)
        await caller.until(lambda: caller.seen(PlayedOut))
        assert caller.bookings() == 1
        assert "four people" in caller.told("agent-turn")[-1]["text"]
        assert caller.told("latency")[-1]["guessed"]


def _called(caller: Caller) -> bool:
    return any(draft.items for draft in caller.conversation._taking.answers._drafts.values())


async def test_a_guess_that_was_wrong_books_nothing_and_is_not_remembered(calling: Any) -> None:
    """The caller goes on; only what they meant in the end is answered and kept."""
    async with calling("turns.speculate_stable_ms=0") as caller:
        caller.starts()
        await caller.partial(BOOKING)
        await caller.until(lambda: _called(caller))
        await caller.partial("actually what time do you open on sunday")
        await caller.until(lambda: caller.seen(Drop))
        caller.stops()
        await caller.final("actually what time do you open on sunday")
        await caller.until(lambda: caller.seen(PlayedOut))
        assert caller.bookings() == 0
        messages = caller.conversation.ledger.messages()
        said = [message["content"] for message in messages if message["role"] == "user"]
        assert said == ["actually what time do you open on sunday"]
        assert "book_table" not in str(messages[1:])


async def test_nothing_is_heard_of_an_answer_before_the_turn_is_decided(calling: Any) -> None:
    """Audio is ready and held at the gate."""
    async with calling("turns.speculate_stable_ms=0") as caller:
        caller.starts()
        await caller.partial("what time do you open on sunday")
        taking = caller.conversation._taking
        await caller.until(lambda: taking.state.guess)
        await caller.until(lambda: caller.conversation._playout.length(taking.state.guess))
        assert caller.line.loud_blocks == 0
        caller.stops()
        await caller.final("what time do you open on sunday")
        await caller.until(lambda: caller.seen(FirstSound))


async def test_what_is_remembered_of_an_interrupted_answer_is_what_was_heard(calling: Any) -> None:
    """A prefix of the answer, word for word, and the next answer knows no more than that."""
    async with calling() as caller:
        caller.types("what is on the menu")
        await caller.until(lambda: len(caller.line.told) and caller.seen(FirstSound))
        await caller.until(lambda: caller.line.loud_blocks >= 40)
        caller.types("thank you goodbye")
        await caller.until(lambda: caller.seen(PlayedOut))
        cut, whole = caller.told("agent-turn")
        assert cut["interrupted"]
        assert not whole["interrupted"]
        heard = cut["text"].split()
        assert 1 <= len(heard) <= 8
        remembered = caller.conversation.ledger.exchanges[0]
        assert remembered.heard.split() == heard


async def test_segments_of_a_turn_add_up_to_its_latency(calling: Any) -> None:
    """No millisecond goes unnamed."""
    async with calling() as caller:
        caller.starts()
        caller.stops()
        await caller.final("what time do you open on sunday")
        await caller.until(lambda: caller.told("latency"))
        latency = caller.told("latency")[0]
        assert sum(s["ms"] for s in latency["segments"]) == pytest.approx(latency["v2v_ms"], abs=1)


async def test_a_turn_is_traced_with_what_ran_beside_the_waiting(calling: Any) -> None:
    """Both rounds of the model, the tool between them, the voice, and a verdict."""
    async with calling("turns.speculate_stable_ms=0", "turns.floor_ms=400") as caller:
        caller.starts()
        await caller.partial(BOOKING)
        await caller.until(lambda: _called(caller))
        caller.stops()
        await caller.final(BOOKING)
        await caller.until(lambda: caller.seen(PlayedOut))
        [turn] = caller.traced()
        assert (turn.kind, turn.transport, turn.pipeline) == ("answered", "line", "embedded")
        assert sum(s.ms for s in turn.segments) == pytest.approx(turn.v2v_ms, abs=0.1)
        spans = {span.name: span for span in turn.spans}
        rounds = [span for span in turn.spans if span.name == "llm"]
        tool, voice = spans["tool:book_table"], spans["tts"]
        assert [span.outcome for span in rounds] == ["hit", "hit"]
        assert rounds[0].start_ms < 0 < tool.end_ms <= rounds[1].start_ms
        assert rounds[1].start_ms < voice.start_ms < turn.v2v_ms < spans["agent"].end_ms
        assert tool.attributes["held_ms"] > 0, "what has side effects waits for the decision"
        assert {"partial", "release", "tool", "played_out"} <= {e.name for e in turn.events}
        assert turn.figures["tokens"] > 1
        assert turn.figures["rtf"] > 0
        assert turn.words is None, "nobody asked for transcripts"
        assert turn.verdict in ("ok", "missed")


async def test_a_dead_language_model_is_apologised_for(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left in silence."""

    async def fail(*_: object) -> None:
        raise ConnectionError("the engine is gone")

    monkeypatch.setattr(ScriptedService, "_answer", fail)
    async with calling() as caller:
        caller.types("hello there")
        await caller.until(lambda: caller.seen(PlayedOut))
        assert "sorry" in caller.told("agent-turn")[-1]["text"]
