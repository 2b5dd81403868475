"""A process with one model in TensorRT-LLM, through its own API.

Run by ``trtllm_model`` as ``python -m voice_agent.llm.trtllm_worker LOAD``, spoken to over stdin
and stdout (see ``model_wire``); it ends when its stdin does. Of tensorrt_llm it uses what is
documented: ``LLM(**arguments)``, ``generate_async(ids, SamplingParams, streaming=True)``, the
asynchronous iteration over its outputs, ``abort()``, and the tokenizer's chat template.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from voice_agent.llm.model_wire import Kind
from voice_agent.llm.tool_calls import ToolCallReader, WrittenCall
from voice_agent.llm.trtllm_wire import TrtLlmLoad
from voice_agent.workers.inside import Pipe
from voice_agent.workers.wire import Message, Unpacker

_ABORTED_WITHIN_S = 2.0
"""An abort takes effect at the next step of the scheduler; nobody waits for it longer."""
_PASSED_ON = {"temperature", "top_p", "top_k", "seed", "stop"}


class Answers:
    """The answers under way, each in a task.

    Args:
        llm: The loaded ``tensorrt_llm.LLM``.
        sampling: ``tensorrt_llm.SamplingParams``.
        pipe: Where what is written goes.
        thinking: Whether the template lets the model think first.
    """

    def __init__(self, llm: Any, sampling: Any, pipe: Pipe, *, thinking: bool) -> None:
        self._llm, self._sampling, self._pipe = llm, sampling, pipe
        self._thinking = thinking
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def take(self, message: Message) -> None:
        """Begin or abort an answer."""
        if message.kind == Kind.ASK:
            work = self._answer(message.number, json.loads(message.payload)["body"])
            self._tasks[message.number] = asyncio.create_task(work)
        elif message.kind == Kind.CANCEL and message.number in self._tasks:
            self._tasks[message.number].cancel()

    async def _answer(self, number: int, body: Mapping[str, Any]) -> None:
        wrong = b""
        try:
            await self._write(number, body)
        except asyncio.CancelledError:
            pass  # wanted no more: there is nothing to say
        except Exception as error:
            said = {"message": str(error) or type(error).__name__, "type": _kind(error)}
            wrong = json.dumps(said).encode()
        del self._tasks[number]
        self._pipe.say(Message(Kind.END, 0, number, wrong))

    async def _write(self, number: int, body: Mapping[str, Any]) -> None:
        tools = body.get("tools") or []
        ids = self._llm.tokenizer.apply_chat_template(
            body["messages"],
            tools=tools or None,
            add_generation_prompt=True,
            tokenize=True,
            enable_thinking=self._thinking,
        )
        wanted = {name: value for name, value in body.items() if name in _PASSED_ON}
        sampling = self._sampling(
            max_tokens=body.get("max_tokens", 300), return_perf_metrics=True, **wanted
        )
        generated = self._llm.generate_async(ids, sampling, streaming=True)
        reader = ToolCallReader(tools)
        calls = 0
        output: Any = None
        try:
            async for step in generated:
                output = step.outputs[0]
                text, made = reader.feed(output.text_diff)
                calls += self._tell(number, text, made, calls)
        except asyncio.CancelledError:
            generated.abort()
            await _gone(generated)
            raise
        text, made = reader.finish()
        self._tell(number, text, made, calls)
        timings = _timings(output, len(ids)) if output is not None else {}
        self._chunk(number, {"finish": getattr(output, "finish_reason", None), "timings": timings})

    def _tell(self, number: int, text: str, made: list[WrittenCall], before: int) -> int:
        said: dict[str, Any] = {"text": text} if text else {}
        if made:
            said["calls"] = [
                {
                    "index": before + n,
                    "id": f"call_{uuid.uuid4().hex[:12]}",
                    "function": asdict(call),
                }
                for n, call in enumerate(made)
            ]
        if said:
            self._chunk(number, said)
        return len(made)

    def _chunk(self, number: int, said: Mapping[str, Any]) -> None:
        content = json.dumps({key: value for key, value in said.items() if value})
        self._pipe.say(Message(Kind.CHUNK, 0, number, content.encode()))


def _piece(index: int, call: WrittenCall) -> dict[str, Any]:
    return {"index": index, "id": f"call_{uuid.uuid4().hex[:12]}", "function": asdict(call)}


async def _gone(generated: Any) -> None:
    """Wait until an aborted answer is no longer worked on, a little while at most."""
    try:
        async with asyncio.timeout(_ABORTED_WITHIN_S):
            await generated.aresult()
    except Exception:
        return  # an abort may end in an error of its own; either way it has ended


def _kind(error: Exception) -> str:
    """Name what llama.cpp has a name for: the service forgets old turns then, and asks again."""
    words = str(error).lower()
    too_long = "max_seq_len" in words or "max_num_tokens" in words or "too long" in words
    return "exceed_context_size_error" if too_long else type(error).__name__


def _timings(output: Any, prompt: int) -> dict[str, float]:
    """Return the figures of an answer, by llama.cpp's names as all workers use them."""
    told: dict[str, float] = {"prompt_n": prompt, "predicted_n": len(output.token_ids)}
    metrics = getattr(output, "request_perf_metrics", None)
    if metrics is None:
        return told
    timing = metrics.timing_metrics
    arrived, begun, first, last = (
        getattr(timing, name).total_seconds() * 1000.0
        for name in ("arrival_time", "first_scheduled_time", "first_token_time", "last_token_time")
    )
    told["queue_ms"], told["prompt_ms"], told["predicted_ms"] = (
        begun - arrived,
        first - begun,
        last - first,
    )
    drafts = metrics.speculative_decoding
    told["draft_n"] = drafts.total_draft_tokens
    told["draft_n_accepted"] = drafts.total_accepted_draft_tokens
    return told


async def _serve(answers: Answers, pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[bytes] = asyncio.Queue()

    def put(block: bytes) -> None:
        loop.call_soon_threadsafe(received.put_nowait, block)

    pipe.read_ahead(put)
    unpacker = Unpacker()
    pipe.say(Message(Kind.READY))
    while block := await received.get():
        for message in unpacker.feed(block):
            answers.take(message)


def main() -> None:
    """Load the model, say READY, and answer until the server goes."""
    pipe = Pipe()
    load = TrtLlmLoad.from_json(sys.argv[1])
    import yaml  # type: ignore[import-untyped]  # tensorrt_llm needs it too
    from tensorrt_llm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]

    llm = LLM(model=load.weights, **yaml.safe_load(load.config))
    answers = Answers(llm, SamplingParams, pipe, thinking=load.thinking)
    try:
        asyncio.run(_serve(answers, pipe))
    except BrokenPipeError:  # the server has gone
        pass
    finally:
        llm.shutdown()
    sys.stderr.flush()
    os._exit(0)  # its own processes have ended; threads of its libraries may not


if __name__ == "__main__":
    main()
