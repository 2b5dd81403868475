"""Whether a model fits this machine and the settings: asked before anything is loaded.

An estimate on the safe side of what llama.cpp allocates: the file, the keys and values of every
attention layer at 16 bit, the state of every recurrent layer at 32 bit, and what computing takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voice_agent.engines import EngineError
from voice_agent.llm.gguf_header import GgufHeader
from voice_agent.llm.llamacpp_wire import Load

__all__ = ["Needs", "check_fit", "needs_of"]

_CACHE_BYTES = 2
_STATE_BYTES = 4
_LIBRARY_BYTES = 100 * 2**20
"""The process without a model: measured 70 MB."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Memory a model takes, bytes."""

    weights: int
    conversations: int
    """What it remembers of all conversations together."""
    work: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.conversations + self.work


def needs_of(header: GgufHeader, load: Load) -> Needs:
    """Return what the model takes when it is loaded so."""
    blocks = int(header.of_model("block_count", 0))
    heads = _per_block(header, "attention.head_count", 0, blocks)
    kv_heads = _per_block(header, "attention.head_count_kv", heads, blocks)
    width = int(header.of_model("embedding_length", 0))
    size = width // max(1, *heads) if heads else 0
    key = int(header.of_model("attention.key_length", size))
    value = int(header.of_model("attention.value_length", size))
    cache = sum(kv_heads) * (key + value) * _CACHE_BYTES * load.context * load.slots

    inner = int(header.of_model("ssm.inner_size", 0))
    states = int(header.of_model("ssm.state_size", 0))
    groups = int(header.of_model("ssm.group_count", 0))
    kernel = int(header.of_model("ssm.conv_kernel", 1))
    state = inner * states + (kernel - 1) * (inner + 2 * groups * states)
    recurrent = sum(1 for n in kv_heads if not n) if inner else 0
    if header.architecture.startswith("nemotron_h"):  # it has layers that only feed forward
        recurrent -= sum(1 for n in _per_block(header, "feed_forward_length", 0, blocks) if n)
    # Every conversation's own, one more for each drafted token, and those kept to go back to.
    copies = load.slots * (1 + load.draft + load.checkpoints)
    cache += recurrent * state * _STATE_BYTES * copies

    words = len(header.values.get("tokenizer.ggml.tokens", ())) or 131_072
    work = _LIBRARY_BYTES + load.batch * (words + 16 * width) * 4
    return Needs(header.size_bytes, cache, work)


def check_fit(header: GgufHeader, load: Load, free_bytes: int | None) -> None:
    """Do nothing when the model can be loaded so.

    Args:
        header: The model's description.
        load: How it is to be loaded.
        free_bytes: Memory that can be had; None where the system does not tell.

    Raises:
        EngineError: It cannot; the message says what to change.
    """
    name = header.path.name
    if not header.architecture or "tokenizer.ggml.model" not in header.values:
        raise EngineError(f"{header.path} holds no language model (an adapter? a projector?)")
    if load.draft and not header.drafting_layers:
        raise EngineError(
            f"llm.speculative: {name} has no head that predicts several tokens (MTP): take a GGUF "
            "that has one, or leave llm.speculative out"
        )
    if header.trained_context and load.context > header.trained_context:
        raise EngineError(
            f"llm.context = {load.context} is more than the {header.trained_context} tokens that "
            f"{name} was trained for"
        )
    blocks = int(header.of_model("block_count", 0))
    needs = needs_of(header, load)
    offloaded = min(1.0, load.gpu_layers / blocks) if blocks and load.gpu_layers > 0 else 0.0
    needed = needs.total - int(needs.weights * offloaded)
    if free_bytes is not None and needed > free_bytes:
        raise EngineError(
            f"{name} needs about {_gb(needed)} ({_gb(needs.weights)} of weights, "
            f"{_gb(needs.conversations)} for {load.slots} conversations of {load.context} tokens) "
            f"and {_gb(free_bytes)} are free: end other programs, lower llm.slots or llm.context, "
            "or take a smaller GGUF"
        )


def _per_block(header: GgufHeader, key: str, default: Any, blocks: int) -> list[int]:
    """Return a value that files give once or for each block, for each block."""
    value = header.of_model(key, default)
    return [int(each) for each in value] if isinstance(value, list) else [int(value)] * blocks


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
