"""Loads a model as the llamacpp engine does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from voice_agent.engines import EngineContext
from voice_agent.llm.llamacpp import LlamaCppEngine, LlamaCppSettings


@asynccontextmanager
async def engine(
    model: Path, *, opening: Any = None, **settings: Any
) -> AsyncIterator[LlamaCppEngine]:
    made = LlamaCppEngine(
        LlamaCppSettings(model=str(model), **{"slots": 2, **settings}),
        EngineContext([Path()], opening=opening),
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
