"""How llama.cpp is loaded, as its worker is told.

Imports nothing but the standard library: the worker loads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """How a model is loaded."""

    model: str
    """Path of the GGUF."""
    context: int = 4096
    """Tokens of one conversation."""
    slots: int = 1
    """Conversations whose prompts are kept, and requests worked on side by side."""
    threads: int = 1
    batch: int = 512
    """Tokens of a prompt worked through in one go; a request can be cancelled between two."""
    draft: int = 0
    """Tokens drafted by the model's own MTP head for each step; 0 is off."""
    checkpoints: int = 8
    """States of a conversation kept to go back to; only models with recurrent layers need them."""
    gpu_layers: int = 0

    def to_json(self) -> str:
        """Return this as the worker's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Load:
        """Read the worker's argument."""
        return cls(**json.loads(text))
