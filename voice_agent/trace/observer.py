"""One conversation as the trace sees it: hooks in, turns out.

The hooks are what the conversation calls anyway (turn-taking's observers, Pipecat's event before a
push, the reply gate's callbacks); each notes a moment and returns. A turn is told every time
something worth telling has changed in it; what was told is plain data that nobody changes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)

from voice_agent.frames import LLMFiguresFrame, ReplyStartFrame
from voice_agent.media import now_ms
from voice_agent.trace.assembly import Assembly, Origin
from voice_agent.trace.model import Turn, Verdict
from voice_agent.turns.events import Action, Event, Tag, VoiceStopped
from voice_agent.turns.playout import FirstSound, PlayoutEvent
from voice_agent.turns.state import State


class TraceObserver:
    """Traces one conversation.

    Args:
        origin: Whose turns these are.
        tell: Takes every turn, each time it has changed; the same id comes again.
        on_first_sound: Takes the turn whose answer has just begun to be heard, greetings aside.
        judge: Judges a turn by its budgets; None for no verdict.
        received: Returns when the packet with this moment's sound had come, or None.
        measured: Returns figures of the process and the line since a moment (ms, monotonic).
    """

    def __init__(
        self,
        origin: Origin,
        *,
        tell: Callable[[Turn], None],
        on_first_sound: Callable[[Turn], None],
        judge: Callable[[Turn], Verdict | None] = lambda turn: None,
        received: Callable[[float], float | None] = lambda at: None,
        measured: Callable[[float], Mapping[str, float]] = lambda since: {},
    ) -> None:
        self.origin = origin
        self._assembly = Assembly(origin)
        self._tell = tell
        self._on_first_sound = on_first_sound
        self._judge = judge
        self._received = received
        self._measured = measured
        self._tag: Tag | None = None
        """The answer the language model works on, as its own frames say."""

    # ----- turn-taking and playout -----

    def observe(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        """Take an event, what was decided on it, and the state after it."""
        with _harmless():
            if isinstance(event, VoiceStopped):
                received = self._received(event.at)
                if received is not None:
                    self._assembly.received(received)
            turns = self._assembly.event(now, event, actions, state)
            if isinstance(event, FirstSound) and turns:
                for name, value in self._measured(self._assembly.zero or now).items():
                    self._assembly.figure(name, value)
                heard = self._assembly.decided(now)
                turns = [heard] if heard is not None else []
                if heard is not None and heard.kind != "greeting":  # nobody waited for that
                    self._on_first_sound(heard.judged(self._judge(heard)))
            self._tell_all(turns)

    # ----- the services -----

    async def on_llm_push(self, _llm: object, frame: Frame) -> None:
        """Take a frame the language model's service is about to push."""
        with _harmless():
            match frame:
                case LLMTextFrame(text=text) if self._tag is not None:
                    self._assembly.work.llm_token(self._tag, now_ms(), text)
                case ReplyStartFrame(turn=turn, revision=revision):
                    self._tag = Tag(turn, revision)
                case LLMFullResponseStartFrame() if self._tag is not None:
                    self._assembly.work.llm_began(self._tag, now_ms())
                case LLMFullResponseEndFrame() if self._tag is not None:
                    self._assembly.work.llm_ended(self._tag, now_ms())
                case LLMFiguresFrame():
                    tag = Tag(frame.turn, frame.revision)
                    self._assembly.work.llm_figures(tag, _llm_figures(frame))
                case _:
                    pass

    def on_clause(self, tag: Tag) -> None:
        """A clause was given to the voice."""
        self._assembly.work.clause(tag, now_ms())

    def on_audio(self, tag: Tag, ms: float) -> None:
        """Synthesized audio has come."""
        self._assembly.work.audio(tag, now_ms(), ms)

    def on_synthesized(self, tag: Tag) -> None:
        """Everything written so far has been synthesized."""
        self._assembly.work.synthesized(tag, now_ms())

    def tool_began(self, tag: Tag, call: str, name: str, *, read_only: bool) -> None:
        """The language model has called a tool."""
        self._assembly.work.tool_began(tag, call, name, now_ms(), read_only=read_only)

    def tool_ran(self, tag: Tag, call: str) -> None:
        """The tool begins to run."""
        self._assembly.work.tool_ran(tag, call, now_ms())

    def tool_ended(self, tag: Tag, call: str, *, failed: bool = False) -> None:
        """The tool has ended."""
        self._assembly.work.tool_ended(tag, call, now_ms(), failed=failed)

    # ----- anything else -----

    def note(self, what: str, **attributes: str | float | bool | None) -> None:
        """Note an event of the turn that is going on: a filler spoken, a fallback taken."""
        with _harmless():
            self._tell_all(self._assembly.note(what, now_ms(), **attributes))

    def figure(self, name: str, value: float) -> None:
        """Set a figure of the turn decided last."""
        self._assembly.figure(name, value)

    def end(self, *, failed: bool) -> None:
        """The conversation is over; ``failed``: by an error of ours."""
        with _harmless():
            self._tell_all(self._assembly.end(now_ms(), failed=failed))

    def _tell_all(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._tell(turn.judged(self._judge(turn)))


@contextmanager
def _harmless() -> Any:
    """Log what goes wrong in tracing instead of failing the call that is traced."""
    try:
        yield
    except Exception as error:
        logger.error(f"a turn could not be traced: {type(error).__name__}")
        logger.opt(exception=True).debug("tracing failed")


def _llm_figures(frame: LLMFiguresFrame) -> dict[str, float]:
    known = {
        "tokens": frame.tokens,
        "prompt_tokens": frame.prompt_tokens,
        "cached_tokens": frame.cached_tokens,
        "prompt_ms": round(frame.prompt_ms, 1),
        "queue_ms": round(frame.queue_ms, 1),
        "reused_blocks": frame.reused_blocks,
        "drafts_offered": frame.drafted_tokens,
        "drafts_accepted": frame.accepted_tokens,
    }
    return {name: float(value) for name, value in known.items() if value}
