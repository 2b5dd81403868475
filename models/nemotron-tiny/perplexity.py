"""Measures the GGUF on dialogues it has not seen: perplexity, and what MTP drafts are worth.

    python models/nemotron-tiny/perplexity.py [MODEL.gguf] [--dialogues FILE] [--answers 120]

Perplexity is per token of the assistant's turns, apart for tool calls and for words, and of the
drafts; computed by `model.py` from the GGUF's 8-bit weights. Acceptance and speed are llama.cpp's
own figures, and every answer must be the same tokens with and without drafts. Whether bookings come
about is `evaluate.py`'s to say.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from dialogue import FOLDER, ChatTemplate, Encoder, Message
from export import read
from llama import LlamaCpp
from model import Config, NemotronTiny
from tokenizers import Tokenizer
from train import DRAFTS

KINDS = ("tool calls", "words", "draft 1", "draft 2", "end of turn")


def perplexities(path: Path, dialogues: list[list[Message]]) -> dict[str, tuple[float, int]]:
    """Return the perplexity of each of `KINDS` and how many tokens it is the mean of."""
    config = Config.load(FOLDER / "config.json")
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    model = NemotronTiny(config)
    model.load_state_dict(read(path, config))
    model.eval()
    encode = Encoder(tokenizer, ChatTemplate())
    end, call = (
        tokenizer.token_to_id("<|im_end|>"),
        tokenizer.token_to_id("\n<tool_call>\n<function="),
    )
    losses: dict[str, list[torch.Tensor]] = {kind: [] for kind in KINDS}
    for messages in dialogues:
        ids, weights = encode(messages)
        row = torch.tensor([ids])
        said = torch.tensor(weights) >= 1
        ends = (torch.tensor(weights) > 0) & ~said & (row[0] == end)
        called, within = torch.zeros_like(said), False
        for at, token in enumerate(ids):
            within = (within or token == call) and bool(said[at])
            called[at] = within
        with torch.no_grad():
            hidden = model.hidden(row[:, :-1], DRAFTS)
            for depth, state in enumerate(hidden):
                targets = row[0, 1 + depth :]
                each = F.cross_entropy(
                    model.lm_head(state[0, : len(targets)]), targets, reduction="none"
                )
                part = slice(1 + depth, None)
                if depth:
                    losses[f"draft {depth}"].append(each[said[part]])
                    continue
                losses["tool calls"].append(each[called[part]])
                losses["words"].append(each[(said & ~called)[part]])
                losses["end of turn"].append(each[ends[part]])
    joined = {kind: torch.cat(parts) for kind, parts in losses.items()}
    return {kind: (math.exp(loss.mean()), len(loss)) for kind, loss in joined.items()}


@dataclass
class Answers:
    """What one setting of the MTP block gave."""

    drafts: int
    said: list[list[int]]
    tokens: int
    drafted: int
    accepted: int
    milliseconds: float
    """Of generating, by llama.cpp's clock."""
    processor: float
    """Seconds of CPU, prompts included."""

    @property
    def per_step(self) -> float:
        """Tokens per evaluation of the trunk."""
        return self.tokens / max(1, self.tokens - self.accepted)


def answer(path: Path, drafts: int, prompts: list[list[int]], length: int = 100) -> Answers:
    """Answer every prompt greedily."""
    llama = LlamaCpp(path, drafts)
    found = Answers(drafts, [], 0, 0, 0, 0.0, 0.0)
    began = time.process_time()
    for prompt in prompts:
        found.said.append(llama.complete(prompt, length))
        timings = llama.timings
        found.tokens += timings["predicted_n"]
        found.milliseconds += timings["predicted_ms"]
        found.drafted += timings.get("draft_n", 0)
        found.accepted += timings.get("draft_n_accepted", 0)
    found.processor = time.process_time() - began
    return found


def prompts_of(dialogues: list[list[Message]], count: int) -> list[list[int]]:
    """Return ids that end where the assistant begins, from every turn until there are ``count``."""
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    template, found = ChatTemplate(), []
    for dialogue in dialogues:
        for at, message in enumerate(dialogue):
            if message["role"] == "assistant" and at > 1:
                text = template.render(dialogue[:at], answer=True)
                found.append(tokenizer.encode(text, add_special_tokens=False).ids)
    return found[:: max(1, len(found) // count)][:count]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, default=FOLDER / "nemotron-tiny.gguf")
    parser.add_argument(
        "--dialogues", type=Path, default=FOLDER / "evaluation" / "perplexity.jsonl"
    )
    parser.add_argument("--answers", type=int, default=120)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = arguments.dialogues.read_text(encoding="utf-8").splitlines()
    dialogues = [json.loads(line)["messages"] for line in lines]
    print("| tokens of | perplexity | tokens |\n|---|---|---|")
    for kind, (value, count) in perplexities(arguments.model, dialogues).items():
        print(f"| {kind} | {value:.3f} | {count} |")
    prompts = prompts_of(dialogues, arguments.answers)
    runs = [answer(arguments.model, drafts, prompts) for drafts in range(4)]
    print("\n| drafts | accepted | tokens a step | tokens/s | CPU ms a token | same tokens |")
    print("|---|---|---|---|---|---|")
    for run in runs:
        same = sum(a == b for a, b in zip(run.said, runs[0].said, strict=True))
        share = f"{run.accepted / run.drafted:.3f}" if run.drafted else "-"
        print(
            f"| {run.drafts} | {share} | {run.per_step:.2f} | "
            f"{run.tokens / run.milliseconds * 1000:.0f} | "
            f"{run.processor / run.tokens * 1000:.2f} | {same} of {len(prompts)} |"
        )
    return 0 if all(run.said == runs[0].said for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
