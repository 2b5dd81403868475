"""The ``scripted`` engine: a language model that knows only its script and keeps exact time.

It is the fixed-latency instrument of every measurement: the first token leaves ``ttft_ms`` after
the context arrived, token n exactly n / ``tokens_per_s`` later, by absolute deadlines, so that a
busy event loop makes one token late and not all the rest. A token is a word with the space before
it. A tool is called when a model of the same speed would have written its name and arguments.
"""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pipecat.frames.frames import FunctionCallFromLLM
from pipecat.processors.aggregators.llm_context import LLMContext
from pydantic import Field, ValidationError, model_validator

from voice_agent.engines import Engine, EngineError, EngineSettings, SessionInfo
from voice_agent.llm.plain import PlainLLMService
from voice_agent.llm.script import Call, Say, Script

__all__ = ["ScriptedEngine", "ScriptedService", "ScriptedSettings", "load_script", "paced"]

DEFAULT_ANSWER = (
    "This is the first sentence of a fixed answer. The second one is a little longer, so that "
    "there is something to interrupt. And this is the last."
)


class ScriptedSettings(EngineSettings):
    """The ``[llm]`` table of a pipeline with ``engine = "scripted"``."""

    script: str = ""
    """A TOML file of patterns (see ``voice_agent/llm/script.py``)."""
    answer: str = ""
    """Without a script: what is said to everything; empty is three plain sentences."""
    ttft_ms: float = Field(default=120.0, ge=0)
    """From the context to the first token."""
    tokens_per_s: float = Field(default=100.0, gt=0)

    @model_validator(mode="after")
    def _one_source(self) -> ScriptedSettings:
        if self.script and self.answer:
            raise ValueError("`script` and `answer` exclude each other")
        return self


class ScriptedEngine(Engine[ScriptedSettings]):
    """Loads the script once; see the module's docstring."""

    Settings: ClassVar[type[EngineSettings]] = ScriptedSettings
    _script: Script | None = None

    async def start(self) -> None:
        """Read and check the script, off the event loop.

        Raises:
            EngineError: The script is not there or something in it is wrong.
        """
        if self.settings.script:
            path = self.context.find(self.settings.script)
            self._script = await asyncio.to_thread(load_script, path)
        else:
            answer = self.settings.answer or DEFAULT_ANSWER
            self._script = Script(fallback=(answer.replace("{", "").replace("}", ""),))

    def service(self, session: SessionInfo) -> ScriptedService:
        """Make the Pipecat service of one conversation."""
        if self._script is None:
            raise RuntimeError("ScriptedEngine.start() was not awaited")
        return ScriptedService(
            self._script,
            ttft_s=self.settings.ttft_ms / 1000,
            tokens_per_s=self.settings.tokens_per_s,
        )


class ScriptedService(PlainLLMService):
    """An ordinary Pipecat LLM service; all it knows of a conversation is the context it gets."""

    def __init__(self, script: Script, *, ttft_s: float, tokens_per_s: float) -> None:
        super().__init__("scripted")
        self._script = script
        self._ttft_s = ttft_s
        self._tokens_per_s = tokens_per_s

    async def run_inference(
        self,
        context: LLMContext,
        max_tokens: int | None = None,
        system_instruction: str | None = None,
        response_schema: dict[str, Any] | None = None,
    ) -> str | None:
        """Answer beside the conversation; nothing where the script would call a tool."""
        await asyncio.sleep(self._ttft_s)
        reply = self._script.reply(context.get_messages())
        return reply.text if isinstance(reply, Say) else None

    async def _answer(self, context: LLMContext, asked_at: float) -> None:
        first_token_at = asked_at + self._ttft_s
        match self._script.reply(context.get_messages()):
            case Say(text):
                async for token in paced(_tokens(text), first_token_at, self._tokens_per_s):
                    await self.stop_ttfb_metrics()
                    await self._push_llm_text(token)
            case Call(tool, arguments):
                written = _tokens(f"{tool} {json.dumps(arguments)}")
                async for _ in paced(written, first_token_at, self._tokens_per_s):
                    await self.stop_ttfb_metrics()
                call = FunctionCallFromLLM(
                    function_name=tool,
                    tool_call_id=f"call_{uuid.uuid4().hex[:12]}",
                    arguments=arguments,
                    context=context,
                )
                await self.run_function_calls([call])


async def paced(tokens: Sequence[str], first_at: float, tokens_per_s: float) -> AsyncIterator[str]:
    """Yield token n at ``first_at + n / tokens_per_s`` of the loop's clock, never earlier.

    Tokens whose time has passed come at once, so a late consumer catches up.
    """
    loop = asyncio.get_running_loop()
    for number, token in enumerate(tokens):
        due = first_at + number / tokens_per_s
        while (wait := due - loop.time()) > 0:  # noqa: ASYNC110 - uvloop's timers may be early
            await asyncio.sleep(wait)
        yield token


def load_script(path: Path) -> Script:
    """Read and check a script; blocking.

    Raises:
        EngineError: Not readable, not TOML, or something in it is wrong.
    """
    try:
        return Script.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise EngineError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EngineError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = "unknown key; see voice_agent/llm/script.py for what there is"
        raise EngineError(f"{path}: {key}: {what}" if key else f"{path}: {what}") from error


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)
