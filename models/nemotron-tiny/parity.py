"""Compares three readings of the same weights: this folder's torch code, transformers, llama.cpp.

Greedy tokens of transformers' NemotronHForCausalLM and of llama.cpp must be equal for every prompt;
the torch model's logits must be transformers' to rounding. llama.cpp reads the weights as 32-bit
floats here: with 8-bit ones it rounds activations too, which transformers does not.

    python models/nemotron-tiny/parity.py [CHECKPOINT]        # default: the shipped GGUF
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from dialogue import FOLDER, ChatTemplate, Message
from export import read, unstacked, write_gguf
from llama import LlamaCpp
from model import Config, NemotronTiny
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import NemotronHForCausalLM

State = dict[str, Tensor]


@dataclass(frozen=True)
class Parity:
    prompts: int
    tokens: int
    """Greedy tokens compared."""
    equal: int
    """Prompts after which all tokens were equal."""
    logits: float
    """Largest difference between our torch code's logits and transformers'."""


def reference(state: State, config: Config, folder: Path) -> NemotronHForCausalLM:
    """Load the weights into transformers by way of the files that it reads."""
    (folder / "config.json").write_text(json.dumps(config.values), encoding="utf-8")
    save_file(unstacked(state), folder / "model.safetensors", metadata={"format": "pt"})
    model, loaded = NemotronHForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    if loaded["missing_keys"]:
        raise ValueError(f"transformers misses {sorted(loaded['missing_keys'])}")
    for layer in model.model.layers:
        if hasattr(layer.mixer, "time_step_limit"):
            # transformers holds dt above time_step_min when it scans a prompt, and does not when it
            # generates; llama.cpp and this folder's code never do.
            layer.mixer.time_step_limit = (0.0, float("inf"))
    return model.eval()


def compare(state: State, prompts: list[str], length: int = 40) -> Parity:
    """Continue each prompt greedily with transformers and with llama.cpp."""
    config = Config.load(FOLDER / "config.json")
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    ours = NemotronTiny(config)
    ours.load_state_dict(state)
    ours.eval()
    equal = tokens = 0
    logits = 0.0
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        theirs = reference(state, config, folder)
        write_gguf(state, config, folder / "exact.gguf", exact=True)
        llama = LlamaCpp(folder / "exact.gguf")
        for prompt in prompts:
            ids = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False).ids])
            logits = max(logits, float((ours(ids) - theirs(ids).logits).abs().max()))
            found = theirs.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=length,
                do_sample=False,
                eos_token_id=config.eos_token_id,
                pad_token_id=config.pad_token_id,
            )[0, ids.shape[1] :].tolist()
            said = llama.complete(ids[0].tolist(), length)
            equal += said == found
            tokens += len(found)
    return Parity(len(prompts), tokens, equal, logits)


def prompts(messages: list[list[Message]], count: int) -> list[str]:
    """Return ``count`` prompts that end where the assistant answers, one a dialogue."""
    template, found = ChatTemplate(), []
    for number, dialogue in enumerate(messages):
        turns = [at for at, m in enumerate(dialogue) if m["role"] == "assistant" and at > 1]
        if turns:
            found.append(template.render(dialogue[: turns[number % len(turns)]], answer=True))
    if len(found) < count:
        raise ValueError(f"only {len(found)} dialogues have an answer, {count} are wanted")
    return found[:count]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", nargs="?", type=Path, default=FOLDER / "nemotron-tiny.gguf")
    parser.add_argument(
        "--dialogues", type=Path, default=FOLDER / "evaluation" / "perplexity.jsonl"
    )
    parser.add_argument("--prompts", type=int, default=24)
    arguments = parser.parse_args()
    lines = arguments.dialogues.read_text(encoding="utf-8").splitlines()
    dialogues = [json.loads(line)["messages"] for line in lines]
    found = compare(
        read(arguments.checkpoint, Config.load(FOLDER / "config.json")),
        prompts(dialogues, arguments.prompts),
    )
    print(
        f"{found.equal} of {found.prompts} prompts equal ({found.tokens} greedy tokens); logits of "
        f"model.py within {found.logits:.1e} of transformers'"
    )
    return 0 if found.equal == found.prompts else 1


if __name__ == "__main__":
    sys.exit(main())
