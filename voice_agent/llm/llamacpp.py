"""The ``llamacpp`` engine: any GGUF on this machine, in llama.cpp, by way of the xllamacpp wheel.

The model runs in one supervised process and serves all conversations, each with a slot that
remembers its prompt. ``[llm] model`` names a GGUF or a shipped model's folder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_agent.engines import Engine, EngineError, EngineSettings, SessionInfo
from voice_agent.llm.gguf_header import GgufHeader, read_header
from voice_agent.llm.llamacpp_fit import check_fit, needs_of
from voice_agent.llm.llamacpp_model import LlamaCppModel
from voice_agent.llm.llamacpp_wire import Load
from voice_agent.llm.model_service import ModelService
from voice_agent.process import free_memory_bytes

__all__ = ["LlamaCppEngine", "LlamaCppSettings", "Speculative"]


class Speculative(BaseModel):
    """Speculative decoding: several tokens are drafted, and checked in one run of the model.

    Answers are then written one after the other, not side by side: see ``LlamaCppModel``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["mtp"] = "mtp"
    """"mtp": the model's own head for further tokens drafts; the GGUF must have one."""
    draft: int = Field(default=2, ge=1, le=8)
    """Tokens drafted for each step."""


class LlamaCppSettings(EngineSettings):
    """The ``[llm]`` table of a pipeline with ``engine = "llamacpp"``."""

    model: str = ""
    """A GGUF file, or a folder of the shipped models that holds one; has to be set."""
    context: int = Field(default=4096, ge=256)
    """Tokens of one conversation; when it grows longer, its oldest turns are forgotten."""
    slots: int = Field(default=8, ge=1, le=64)
    """Answers written side by side, and conversations remembered without reading them again."""
    queue: int = Field(default=16, ge=0)
    """Requests that may wait for a slot; more are refused."""
    threads: int = Field(default=0, ge=0)
    """0 takes half of this machine's CPUs."""
    batch: int = Field(default=64, ge=32, le=4096)
    """Tokens of a prompt worked through in one go: more is faster for large models, and makes
    cancelling and other callers wait for longer."""
    gpu_layers: int = Field(default=0, ge=0)
    """Layers on a GPU, where the installed wheel knows one; 999 is all."""
    speculative: Speculative | None = None
    checkpoints: int = Field(default=8, ge=1, le=64)
    """States of a conversation that can be gone back to; only models with recurrent layers, such
    as Nemotron-H, need them."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=300, ge=1)
    """A bound on one answer, reasoning included."""
    reasoning: Literal["off", "on"] = "off"
    """Whether the chat template lets the model think first; thoughts are never spoken."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """More fields of llama-server's chat completions; they win over all others."""
    first_token_timeout_s: float = Field(default=10.0, gt=0)
    """From the request to the first token, waiting for a slot included."""
    total_timeout_s: float = Field(default=60.0, gt=0)
    """From the request to the end of the answer."""


class LlamaCppEngine(Engine[LlamaCppSettings]):
    """One worker process with one model, for all conversations."""

    Settings: ClassVar[type[EngineSettings]] = LlamaCppSettings
    _model: LlamaCppModel | None = None
    _header: GgufHeader | None = None

    @property
    def model(self) -> LlamaCppModel:
        """The loaded model.

        Raises:
            RuntimeError: The engine is not started.
        """
        if self._model is None:
            raise RuntimeError("LlamaCppEngine.start() was not awaited")
        return self._model

    async def start(self) -> None:
        """Check that the model fits, load it, and let it read the agent's prompt.

        Raises:
            EngineError: It does not fit or cannot be loaded; the message says what to do.
        """
        if not self.settings.model:
            raise EngineError("llm.model: which one? Add --set llm.model=/path/to/model.gguf")
        path = gguf_at(self.context.find(self.settings.model))
        self._header = await asyncio.to_thread(read_header, path)
        load = self._load(path)
        check_fit(self._header, load, free_memory_bytes())
        model = LlamaCppModel(
            load,
            self.settings.queue,
            self.context.opening,
            self._common(),
        )
        await model.start()
        self._model = model

    def about(self) -> str:
        """Return what is loaded and the memory it takes."""
        header = self._header
        if header is None:
            return ""
        needs = needs_of(header, self._load(header.path)).total
        draft = self.settings.speculative
        mtp = f"drafts {draft.draft} tokens a step" if draft else "no speculative decoding"
        return (
            f"{header.path.name} ({header.architecture}, {header.size_bytes / 1e6:.0f} MB; "
            f"{self.settings.slots} conversations of {self.settings.context} tokens; {mtp}; "
            f"takes up to {needs / 1e9:.1f} GB)"
        )

    def service(self, session: SessionInfo) -> ModelService:
        """Make the Pipecat service of one conversation."""
        return ModelService(
            self.model,
            Path(self.settings.model).stem,
            session.session_id,
            first_token_s=self.settings.first_token_timeout_s,
            total_s=self.settings.total_timeout_s,
        )

    async def stop(self) -> None:
        """End the worker process."""
        if self._model is not None:
            model, self._model = self._model, None
            await model.stop()

    def _load(self, path: Path) -> Load:
        settings = self.settings
        return Load(
            model=str(path),
            context=settings.context,
            slots=settings.slots,
            threads=settings.threads or max(1, (os.cpu_count() or 2) // 2),
            batch=settings.batch,
            draft=settings.speculative.draft if settings.speculative else 0,
            checkpoints=settings.checkpoints,
            gpu_layers=settings.gpu_layers,
        )

    def _common(self) -> Mapping[str, Any]:
        settings = self.settings
        return {
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "parallel_tool_calls": True,
            "timings_per_token": True,
            "stream_options": {"include_usage": True},
            "chat_template_kwargs": {"enable_thinking": settings.reasoning == "on"},
            **settings.extra_body,
        }


def gguf_at(path: Path) -> Path:
    """Return the GGUF that ``path`` is, or that is in it.

    Raises:
        EngineError: There is none, or more than one.
    """
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.gguf"))
    if len(found) != 1:
        names = f"holds {', '.join(file.name for file in found)}" if found else "holds no GGUF"
        raise EngineError(f"llm.model: the folder {path} {names}: name the file itself")
    return found[0]
