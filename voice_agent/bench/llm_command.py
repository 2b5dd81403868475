"""Which language models are compared, and where the figures go."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voice_agent.bench import llm_report, llm_sweep
from voice_agent.bench.llm import Side, measure
from voice_agent.config import EngineChoice, load_pipeline
from voice_agent.engines import EngineContext, EngineError, engine_class
from voice_agent.llm.gguf_header import read_header
from voice_agent.llm.llamacpp import LlamaCppEngine, LlamaCppSettings, Speculative, gguf_at
from voice_agent.llm_server.proof.client import ServerFault

OK, FAILED, BAD_INPUT = 0, 1, 2


async def bench_llm(
    pipeline_name: str,
    overrides: Sequence[str] = (),
    *,
    urls: Sequence[str] = (),
    draft: int = 2,
    conversations: int = 3,
    turns: int = 10,
    json_path: Path | None = None,
) -> int:
    """Run the bench and print its table.

    Args:
        pipeline_name: Whose language model is measured.
        overrides: ``section.key=value`` strings over it.
        urls: Measure these OpenAI-compatible servers instead, side by side.
        draft: Tokens a GGUF with a drafting head drafts on the second side; 0 leaves that out.
        conversations: With every side.
        turns: Of each conversation.
        json_path: Write everything there.

    Returns:
        0, 1 (a model does not answer) or 2 (it cannot be loaded, or the file not be written).

    Raises:
        ConfigError: The pipeline cannot be used.
    """
    if json_path is not None and not json_path.parent.is_dir():
        return _failed(f"{json_path}: there is no such folder", BAD_INPUT)
    pipeline = load_pipeline(pipeline_name, overrides, os.environ)
    context = EngineContext(pipeline.search_path)
    try:
        if urls:
            sides = [_server(url, context) for url in urls]
        else:
            sides = await asyncio.to_thread(_local, pipeline.llm, context, draft)
    except EngineError as error:
        return _failed(error, BAD_INPUT)
    try:
        await measure(sides, conversations, turns, _say)
    except (EngineError, TimeoutError) as error:
        return _failed(str(error) or "a language model did not answer", FAILED)
    made = {side.name: llm_report.figures(side.asked) for side in sides}
    for line in llm_report.lines(made):
        print(line)
    return OK if json_path is None else await asyncio.to_thread(_write, json_path, made)


async def bench_sweep(
    urls: Sequence[str], loads: Sequence[int], turns: int, json_path: Path | None = None
) -> int:
    """Measure servers under growing load and print the table.

    Returns:
        0, 1 (a server does not answer) or 2 (the file cannot be written).
    """
    if json_path is not None and not json_path.parent.is_dir():
        return _failed(f"{json_path}: there is no such folder", BAD_INPUT)
    try:
        points = await llm_sweep.sweep(
            urls, loads, turns, lambda line: print(line, file=sys.stderr)
        )
    except ServerFault as error:
        return _failed(error, FAILED)
    for line in llm_sweep.lines(points):
        print(line)
    made = llm_sweep.as_json(points)
    return OK if json_path is None else await asyncio.to_thread(_write, json_path, made)


def _write(path: Path, made: object) -> int:
    try:
        path.write_text(json.dumps(made, indent=2) + "\n")
    except OSError as error:
        return _failed(f"{path}: cannot be written: {error}", BAD_INPUT)
    return OK


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _failed(message: object, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _server(url: str, context: EngineContext) -> Side:
    engine = engine_class("llm", "openai-compatible")
    made = engine(engine.Settings.model_validate({"base_url": url}), context)
    return Side(url, made, url=url)


def _local(choice: EngineChoice, context: EngineContext, draft: int) -> list[Side]:
    """Return the pipeline's own language model; a GGUF without, and with, its drafting head."""
    settings: Any = choice.settings
    if not isinstance(settings, LlamaCppSettings):
        return [Side(choice.engine, engine_class("llm", choice.engine)(settings, context))]
    plain = settings.model_copy(update={"speculative": None, "slots": 1})
    sides = [Side("plain", LlamaCppEngine(plain, context))]
    if not settings.model:
        raise EngineError("which model? Add --model /path/to/model.gguf")
    header = read_header(gguf_at(context.find(settings.model)))
    if draft and header.drafting_layers:
        drafting = plain.model_copy(update={"speculative": Speculative(draft=draft)})
        sides.append(Side(f"draft {draft}", LlamaCppEngine(drafting, context)))
    elif draft:
        print(f"note: {header.path.name} has no head for drafting (MTP)", file=sys.stderr)
    return sides
