"""Ends of turns by the language model, beside the turn engine's own text model.

    python models/nemotron-tiny/turn_ends.py MODEL.gguf [--utterances 1500]

Both are asked at every place of the same held-out utterances as in ``models/turn-words``: how
likely is it that the turn ends here, after these words and that question? The language model's
answer is the probability of <|im_end|> as the next token of the caller's turn. Prints Markdown.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
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

from voice_agent.turns.words import WordModel  # noqa: E402

END_ID = 2
"""<|im_end|>, as in config.json."""
CANDIDATES = 200
"""Tokens whose probability llama.cpp is asked for; an end less likely than all of them is none."""


class LanguageModelEnds:
    """``TurnWords`` by a language model: blocking, for measuring."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = 4096, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers, params.fit_params, params.verbosity = 0, False, 0

        self._server = xllamacpp.Server(params)
        agent = bella_notte()
        tools = [tool["function"] for tool in schemas(agent)]
        self._opening = opening(agent.system_prompt(moment(random.Random(1)), brief=True), tools)

    def end_probability(self, words: str, agent_said: str) -> float:
        asked = f"<|im_start|>assistant\n<think></think>{agent_said}<|im_end|>\n"
        body = {
            "prompt": f"{self._opening}{asked if agent_said else ''}<|im_start|>user\n{words}",
            "n_predict": 1,
            "n_probs": CANDIDATES,
            "temperature": 0,
            "cache_prompt": True,
        }
        found: list[Any] = []

        def take(chunk: Any) -> bool:
            found.append(json.loads(chunk) if isinstance(chunk, str | bytes) else chunk)
            return False

        self._server.handle_completions(body, take)
        return _end(found)


def opening(system: str, tools: list[dict[str, Any]]) -> str:
    """Return how a conversation begins, as the model's chat template writes it."""
    lines = [f"{tool['name']}({', '.join(tool['parameters']['properties'])})\n" for tool in tools]
    return f"<|im_start|>system\n{system}\n\n<tools>\n{''.join(lines)}</tools><|im_end|>\n"


def _end(chunks: list[Any]) -> float:
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            for place in (choice.get("logprobs") or {}).get("content") or ():
                for candidate in place["top_logprobs"]:
                    if candidate["id"] == END_ID:
                        return float(np.exp(candidate["logprob"]))
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--utterances", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    held_out = split(corpus())[1]
    chosen = random.Random(options.seed).sample(held_out, min(options.utterances, len(held_out)))
    rows = list(examples(chosen, corrupt=False))
    asked = [(" ".join(row.words), row.agent) for row in rows]
    scores: dict[str, np.ndarray] = {}
    for name, model in (
        ("turn-words", WordModel.load()),
        ("nemotron-tiny", LanguageModelEnds(options.model)),
    ):
        begun, ms = time.perf_counter(), []
        found = []
        for words, agent in asked:
            at = time.perf_counter()
            found.append(model.end_probability(words, agent))
            ms.append(1000 * (time.perf_counter() - at))
        scores[name] = np.array(found)
        took = time.perf_counter() - begun
        print(
            f"{name}: {len(rows)} places in {took:.0f} s, p50 {np.percentile(ms, 50):.2f} ms, "
            f"p95 {np.percentile(ms, 95):.2f} ms"
        )
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
