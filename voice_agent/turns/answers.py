"""Answers in the making: what the language model is told, and what comes back for which answer.

Between the turn machine, which names an answer by its tag, and the frames of ordinary Pipecat
services, which know nothing of tags. One answer is generated at a time. Nothing is awaited here;
frames leave in order through ``push``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from loguru import logger
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import (
    NOT_GIVEN,
    LLMContext,
    LLMContextMessage,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.tts_service import TTSService

from voice_agent.frames import AsideFrame, ReplyStartFrame, RevoiceFrame
from voice_agent.turns.events import Called, Event, Failed, Tag, Voiced
from voice_agent.turns.ledger import Draft, Ledger, call_message, result_message
from voice_agent.turns.playout import Playout
from voice_agent.turns.reply import Clip


class ReplyContext(LLMContext):
    """The context of one answer; tool calls made for it are found again by ``tag``."""

    tag: Tag


class Engines:
    """Which engines answer; where a stage has one engine only there is nothing to say."""

    def answer_with(self, fallback: bool) -> bool:
        """From now on the other language model is meant, or the usual one; return whether it is
        the other."""
        return False

    def speak_with(self, fallback: bool) -> None:
        """From now on the other voice is meant, or the usual one."""

    def given_up(self, service: FrameProcessor | None) -> bool:
        """Whether another engine stands in for this one now, so that its errors are nobody's."""
        return False

    def first_clause_max_words(self) -> int | None:
        """Return how short the first clause of the next answer is to be; None: as always."""
        return None


class Answers:
    """The answers of one conversation, from the first token to the last word heard.

    Args:
        ledger: The conversation's memory.
        playout: Where an answer's audio is held.
        tools: What the language model may call; None or empty for nothing.
        push: Sends a frame towards the LLM, in order.
        tell: Tells the turn machine how an answer is coming on.
        engines: Says which engines answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        playout: Playout,
        tools: ToolsSchema | None,
        *,
        push: Callable[[Frame], None],
        tell: Callable[[Event], None],
        engines: Engines | None = None,
    ) -> None:
        self._ledger = ledger
        self._playout = playout
        self.offer(tools)
        self._push = push
        self._tell = tell
        self._engines = engines or Engines()
        self._drafts: dict[Tag, Draft] = {}
        self._decided: dict[Tag, asyncio.Event] = {}
        self.generating: Tag | None = None
        """The answer the language model is working on."""
        self.aloud = True
        """Answers begun from now on are spoken; otherwise they are only read."""
        self.tool_choice: Any = NOT_GIVEN
        """As chat completions have it, for answers asked for from now on."""

    def offer(self, tools: ToolsSchema | None) -> None:
        """Let the language model call these tools in rounds that start from now on."""
        self._tools = tools if tools is not None and tools.standard_tools else None

    def is_aloud(self, tag: Tag) -> bool:
        """Whether the answer ``tag`` is spoken."""
        draft = self._drafts.get(tag)
        return draft.aloud if draft is not None else self.aloud

    # ----- what the machine decides -----

    def start(self, tag: Tag, text: str, *, fallback: bool = False) -> None:
        """Have the language model answer ``text``; nothing of it is heard or remembered yet."""
        draft = self._begin(tag, text, fallback=self._engines.answer_with(fallback))
        self._announce(draft)
        self._run_llm(draft)

    def say(self, tag: Tag, text: str, *, remembered: bool, clip: Clip | None = None) -> None:
        """Say ``text`` itself, at once; ``remembered`` as a turn of its own.

        ``clip``: the text as it was synthesized before.
        """
        draft = self._begin(tag, "")
        if clip is not None and draft.aloud:
            self.generating = None
            self._playout.words(tag, clip.words)
            self._playout.write(tag, clip.pcm)
            self._playout.finish(tag)
            self._tell(Voiced(tag))
        else:
            draft.rounds = 1
            self._announce(draft)
            self._push(LLMFullResponseStartFrame())
            self._push(LLMTextFrame(text))
            self._push(LLMFullResponseEndFrame())
        if remembered:
            self._ledger.commit(draft, "")
        self._playout.release(tag)

    def fill(self, tag: Tag, clip: Clip) -> None:
        """Let the answer, which is late, begin with ``clip``."""
        draft = self._drafts.get(tag)
        if draft is not None and draft.aloud:
            self._playout.fill(tag, clip)

    def carry(self, tag: Tag, again: Tag) -> None:
        """Give up an answer of which a filler was heard; ``again`` goes on from there."""
        self._playout.carry(tag, again)
        self._drafts.pop(tag, None)
        self._decided.pop(tag, None)

    def revoice(self, tag: Tag) -> None:
        """Let the other voice say what the language model has written, and what it will write."""
        draft = self._drafts.get(tag)
        if draft is not None:
            # What the first voice said of it was never heard; its rounds are said again.
            draft.rounds_ended = 0
            self.generating = tag
            self._engines.speak_with(True)
            self._push(RevoiceFrame())

    def release(self, tag: Tag, text: str) -> None:
        """The turn is decided: remember it, let the answer be heard and bind it."""
        self._ledger.commit(self._drafts[tag], text)
        self._playout.release(tag)
        self._decided[tag].set()

    def remember(self, turn: int, text: str) -> None:
        """The turn is decided, and whoever wants an answer asks for it."""
        self._ledger.commit(Draft(Tag(turn, 0), text), text)

    def retract(self, tag: Tag) -> None:
        """The turn goes on and nothing was heard: hold the answer again."""
        self._ledger.forget(tag.turn)
        self._playout.retract(tag)
        self._decided[tag].clear()

    def drop(self, tag: Tag) -> None:
        """Forget an answer nobody heard."""
        self._playout.drop(tag)
        self._forget(tag)

    def stop(self, tag: Tag) -> None:
        """Be silent; of the answer remember what was heard, and make no more of it."""
        self._ledger.heard(tag.turn, self._playout.stop(), interrupted=True)
        self._playout.finish(tag)
        self._forget(tag)

    def heard(self, tag: Tag, text: str) -> None:
        """An answer was heard to its end."""
        self._ledger.heard(tag.turn, text, interrupted=False)
        self._drafts.pop(tag, None)
        self._decided.pop(tag, None)

    async def decided(self, tag: Tag) -> None:
        """Return when the turn of ``tag`` is decided: what has side effects waits here.

        Never returns for an answer that is dropped: whoever waits is cancelled with it.
        """
        decided = self._decided.setdefault(tag, asyncio.Event())
        while not decided.is_set():  # it may be taken back before the waiter runs
            await decided.wait()

    # ----- what the services report -----

    def round_ended(self, tag: Tag) -> None:
        """An LLM round has been synthesized to its end; another follows when a tool was called."""
        draft = self._drafts.get(tag)
        if draft is not None:
            draft.rounds_ended += 1
            if draft.complete:
                self._finish(tag)

    def failure(self, service: FrameProcessor | None) -> None:
        """A service failed while answering: what is there is heard, if anything."""
        tag = self.generating
        if tag is None or tag not in self._drafts or self._engines.given_up(service):
            return
        self._finish(tag, voice=isinstance(service, TTSService))

    def calls_started(self, frame: FunctionCallsStartedFrame) -> None:
        """The language model wants tools: the round that asked for them is not the last."""
        for call in frame.function_calls:
            context = call.context
            if isinstance(context, ReplyContext) and context.tag in self._drafts:
                self._drafts[context.tag].calls.add(call.tool_call_id)
                self._tell(Called(context.tag))

    def call_in_progress(self, frame: FunctionCallInProgressFrame) -> None:
        """A tool runs: note the call."""
        draft = self._draft_of(frame.tool_call_id)
        if draft is not None:
            call = call_message(frame.tool_call_id, frame.function_name, frame.arguments)
            draft.items.append(call)

    def call_ended(self, frame: FunctionCallResultFrame) -> None:
        """A tool has its result; when it was the last one out, the model is told."""
        draft = self._draft_of(frame.tool_call_id)
        if draft is None:
            return
        draft.calls.discard(frame.tool_call_id)
        draft.items.append(result_message(frame.tool_call_id, frame.result))
        if not draft.calls:
            self._run_llm(draft)

    def hand_over(self, tag: Tag, call_id: str) -> None:
        """A tool call is somebody else's to run: the answer ends without its result, which a later
        turn brings."""
        draft = self._drafts.get(tag)
        if draft is None or call_id not in draft.calls:
            return
        draft.calls.discard(call_id)
        draft.handed_over = True
        if draft.complete:
            self._finish(tag)

    def late_result(self, tag: Tag, call_id: str, result: Any) -> None:
        """A tool ended after its answer was interrupted: what it did is remembered."""
        self._ledger.add_result(tag.turn, call_id, result)

    # ----- within -----

    def _begin(self, tag: Tag, text: str, *, fallback: bool = False) -> Draft:
        if self.generating is not None:
            self._push(InterruptionFrame())
        self.generating = tag
        draft = self._drafts[tag] = Draft(tag, text, aloud=self.aloud, fallback=fallback)
        self._decided[tag] = asyncio.Event()
        self._playout.begin(tag)
        return draft

    def _announce(self, draft: Draft) -> None:
        self._engines.speak_with(False)
        words = self._engines.first_clause_max_words()
        turn, revision = draft.tag
        frame = ReplyStartFrame(turn=turn, revision=revision, first_clause_max_words=words)
        self._push(AsideFrame(frame) if draft.fallback else frame)

    def _run_llm(self, draft: Draft) -> None:
        draft.rounds += 1
        messages = cast(list[LLMContextMessage], self._ledger.provisional(draft))
        if self._tools is not None:
            context = ReplyContext(messages, self._tools, self.tool_choice)
        else:
            context = ReplyContext(messages=messages)
        context.tag = draft.tag
        frame = LLMContextFrame(context=context)
        self._push(AsideFrame(frame) if draft.fallback else frame)

    def _forget(self, tag: Tag) -> None:
        self._drafts.pop(tag, None)
        self._decided.pop(tag, None)
        if self.generating == tag:
            self.generating = None
            self._push(InterruptionFrame())

    def _finish(self, tag: Tag, *, voice: bool = False) -> None:
        if self.generating == tag:
            self.generating = None
        draft = self._drafts.get(tag)
        silent = draft is not None and (
            draft.handed_over or (not draft.aloud and self._playout.worded(tag))
        )
        if silent or self._playout.length(tag):
            self._playout.finish(tag)
        else:
            logger.warning("an answer has nothing to say")
            self._tell(Failed(tag, voice))

    def _draft_of(self, call_id: str) -> Draft | None:
        return next((d for d in self._drafts.values() if call_id in d.calls), None)
