"""Ends of turns by the language model, beside the turn engine's own text model.

    python models/nemotron-tiny/turn_ends.py MODEL.gguf [--utterances 1500]

Both are asked at every place of the same held-out utterances as in ``models/turn-words``: how
likely is it that the turn ends here, after these words and that question? The language model's
answer is the probability of <|im_end|> as the next token of the caller's turn. Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import math
import random
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).parent
TURN_WORDS = HERE.parent / "turn-words"
sys.path.insert(0, str(TURN_WORDS))
sys.path.insert(0, str(HERE / "corpus"))

from examples import Example, corpus, examples, split  # noqa: E402
from world import bella_notte, moment, schemas  # noqa: E402

from voice_agent.llm.llamacpp_process import LlamaCppProcess  # noqa: E402
from voice_agent.llm.llamacpp_wire import Load  # noqa: E402
from voice_agent.turns.words import WordModel  # noqa: E402

END_ID = 2
"""<|im_end|>, as in config.json."""
CANDIDATES = 200
"""Tokens whose probability llama.cpp is asked for; an end less likely than all of them is none."""


class LanguageModelEnds:
    """What ``TurnWords`` is asked, asked of a language model in the engine's own process."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.process = LlamaCppProcess(Load(str(path), threads=threads))
        agent = bella_notte()
        tools = [tool["function"] for tool in schemas(agent)]
        self._opening = opening(agent.system_prompt(moment(random.Random(1)), brief=True), tools)

    async def end_probability(self, words: str, agent_said: str) -> float:
        asked = f"<|im_start|>assistant\n<think></think>{agent_said}<|im_end|>\n"
        body = {
            "prompt": f"{self._opening}{asked if agent_said else ''}<|im_start|>user\n{words}",
            "n_predict": 1,
            "n_probs": CANDIDATES,
            "temperature": 0,
            "cache_prompt": True,
        }
        found = 0.0
        async for chunk in await self.process.ask("completion", body):
            for place in chunk.get("logprobs", ())[:1]:
                for candidate in place["top_logprobs"]:
                    if candidate["id"] == END_ID:
                        found = math.exp(candidate["logprob"])
        return found


def opening(system: str, tools: list[dict[str, Any]]) -> str:
    """Return how a conversation begins, as the model's chat template writes it."""
    lines = [f"{tool['name']}({', '.join(tool['parameters']['properties'])})\n" for tool in tools]
    return f"<|im_start|>system\n{system}\n\n<tools>\n{''.join(lines)}</tools><|im_end|>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--utterances", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    held_out = split(corpus())[1]
    chosen = random.Random(options.seed).sample(held_out, min(options.utterances, len(held_out)))
    rows = list(examples(chosen, corrupt=False))
    asyncio.run(compare(options.model, rows))


async def compare(path: Path, rows: list[Example]) -> None:
    """Ask both and print how they did."""
    asked = [(" ".join(row.words), row.agent) for row in rows]
    words, model = WordModel.load(), LanguageModelEnds(path)
    begun = time.perf_counter()
    scores = {"turn-words": np.array([words.end_probability(*place) for place in asked])}
    each_ms = 1000 * (time.perf_counter() - begun) / len(asked)
    print(f"turn-words: {len(asked)} places, {each_ms:.3f} ms each")
    await model.process.start()
    try:
        found, ms = [], []
        for place in asked:
            begun = time.perf_counter()
            found.append(await model.end_probability(*place))
            ms.append(1000 * (time.perf_counter() - begun))
    finally:
        await model.process.stop()
    scores["nemotron-tiny"] = np.array(found)
    p50, p95 = np.percentile(ms, (50, 95))
    print(f"nemotron-tiny: p50 {p50:.1f} ms, p95 {p95:.1f} ms\n")
    print(_table(rows, scores))


def _table(rows: list[Example], scores: dict[str, np.ndarray]) -> str:
    judge = _load(TURN_WORDS / "evaluate.py")
    ended = np.array([row.ended for row in rows])
    weight = np.array([row.weight for row in rows])
    once = np.array([1.0 if row.ended else 1 / (len(row.words) + row.rest - 1) for row in rows])
    lines = [
        f"| slice | ends | pauses | {' | '.join(scores)} |",
        "|---" * (3 + len(scores)) + "|",
    ]
    for name, wanted in judge.SLICES:
        pick = np.array([wanted(row) for row in rows])
        if not ended[pick].any() or ended[pick].all():
            continue
        weights = once if "random word" in name else weight
        aucs = [judge.auc(score[pick], ended[pick], weights[pick]) for score in scores.values()]
        lines.append(
            f"| {name} | {int(ended[pick].sum())} | {int((~ended[pick]).sum())} | "
            + " | ".join(f"{value:.3f}" for value in aucs)
            + " |"
        )
    return "\n".join(lines)


def _load(path: Path) -> ModuleType:
    """Import a script by its path: there is an ``evaluate.py`` beside this one too."""
    spec = importlib.util.spec_from_file_location("turn_words_evaluate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
