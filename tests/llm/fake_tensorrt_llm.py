"""A FAKE of what is documented of ``tensorrt_llm``: ``LLM``, ``SamplingParams``, and the outputs of
``generate_async``. It writes what its YAML says (``answer``), token by token, for ever with
``endless``. For the cancellation and the errors of our own process only; it proves nothing of
TensorRT-LLM. ``install`` puts it where ``import tensorrt_llm`` finds it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

SOURCE = '''
import asyncio
from datetime import timedelta
from types import SimpleNamespace as Made


class SamplingParams:
    def __init__(self, **given):
        self.given = given


class Tokenizer:
    def apply_chat_template(self, messages, tools, add_generation_prompt, tokenize, **more):
        assert add_generation_prompt and tokenize and more == {"enable_thinking": False}
        return " ".join(str(message["content"]) for message in messages).split()


class Generated:
    """One request; iterating an aborted one waits for ever, as nothing ends it by itself."""

    def __init__(self, llm, ids, sampling):
        self.llm, self.ids, self.sampling = llm, ids, sampling
        self.is_aborted = asyncio.Event()
        llm.running += 1

    def abort(self):
        self.is_aborted.set()

    async def aresult(self):
        await self.is_aborted.wait()
        self.llm.running -= 1

    def __aiter__(self):
        return self._steps()

    async def _steps(self):
        words = self.llm.answer
        count = 0
        most = self.sampling.given["max_tokens"]
        while count < most:
            for word in words[: most - count]:
                count += 1
                await asyncio.sleep(0.002)
                output = Made(text_diff=word, token_ids=list(range(count)), finish_reason=None)
                yield Made(outputs=[output])
            if not self.llm.endless:
                break
        self.llm.running -= 1
        at = lambda ms: timedelta(milliseconds=ms)
        metrics = Made(
            timing_metrics=Made(arrival_time=at(10), first_scheduled_time=at(13),
                                first_token_time=at(33), last_token_time=at(83)),
            speculative_decoding=Made(total_draft_tokens=9, total_accepted_draft_tokens=6),
        )
        output = Made(text_diff="", token_ids=list(range(count)), finish_reason="stop",
                      request_perf_metrics=metrics)
        yield Made(outputs=[output])


class LLM:
    def __init__(self, model, answer, endless=False, crash=False, **rest):
        if crash:
            raise RuntimeError("CUDA out of memory, says the fake")
        self.answer, self.endless, self.running = answer, endless, 0
        self.tokenizer = Tokenizer()

    def generate_async(self, ids, sampling, streaming):
        assert streaming
        if len(ids) > 1000:
            raise ValueError("prompt length exceeds max_seq_len, says the fake")
        if ids[-1] == "running?":
            self.answer, self.endless = [str(self.running)], False
        return Generated(self, ids, sampling)

    def shutdown(self):
        pass
'''


def install(folder: Path) -> Path:
    """Put it into ``folder``, which has to be on the path that modules are looked up on."""
    package = folder / "tensorrt_llm"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir()
    (package / "__init__.py").write_text(SOURCE)
    return folder
