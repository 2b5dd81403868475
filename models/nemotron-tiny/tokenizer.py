"""Learns ``tokenizer.json``: byte-level BPE over the corpus, as GPT-2's, 2048 tokens.

Digits stay single tokens, and so do the marks of the chat template. Only those that frame a turn
are control tokens in the GGUF; the others are "user-defined", so that llama.cpp's parser of tool
calls sees their text.

    python models/nemotron-tiny/tokenizer.py SHARD.jsonl...
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dialogue import FOLDER, ChatTemplate
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SIZE = 2048
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
"""Ids 0, 1 and 2; `config.json` names them."""
MARKS = [
    *("<think>", "</think>", "<tools>", "</tools>"),
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
    *("<function=", "</function>", "<parameter=", "</parameter>"),
]
ALWAYS = ["system", "user", "assistant"]
"""Words that must be one token whatever the corpus says: the encoder finds turns by them."""
FRAMES = [
    "\n<tool_call>\n<function=",
    ">\n<parameter=",
    ">\n",
    "\n</parameter>\n<parameter=",
    "\n</parameter>\n",
    "</function>\n</tool_call>\n",
]
"""Runs of marks that a tool call always has; as one token each they halve the time it takes."""


def names(tools: list[dict[str, Any]]) -> list[str]:
    """Names of the agent's tools and parameters that no caller says, to be one token each."""
    functions = [tool["function"] for tool in tools]
    found = {f["name"] for f in functions}
    found.update(p for f in functions for p in f["parameters"]["properties"])
    return sorted(name for name in found if "_" in name)


def train(texts: Iterator[str], whole: list[str]) -> Tokenizer:
    """Learn the merges; ``whole`` are strings that are one token besides the marks."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=CONTROL + MARKS + whole,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # A digit never merges: the trainer sees none (the alphabet has them).
    digits = str.maketrans(dict.fromkeys("0123456789", " "))
    words = " ".join(f"\n{word}\n" for word in ALWAYS) * 1000
    tokenizer.train_from_iterator((t.translate(digits) for t in [words, *texts]), trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in MARKS + whole])
    assert all(tokenizer.token_to_id(word) is not None for word in ALWAYS)
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shards", nargs="+", type=Path)
    arguments = parser.parse_args()
    template = ChatTemplate()

    def texts() -> Iterator[str]:
        for shard in arguments.shards:
            for line in shard.read_text(encoding="utf-8").splitlines():
                messages = json.loads(line)["messages"]
                yield template.render(messages)
                # What is copied into an argument loses its space: let words fall into the same
                # pieces with and without one.
                said = (m["content"] for m in messages if m["role"] == "user")
                yield "\n".join("\n".join(said).split())

    train(texts(), FRAMES + names(template.tools)).save(str(FOLDER / "tokenizer.json"))


if __name__ == "__main__":
    main()
