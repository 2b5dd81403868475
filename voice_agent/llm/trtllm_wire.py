"""How TensorRT-LLM is loaded, as its worker is told.

Imports nothing but the standard library: the worker loads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class TrtLlmLoad:
    """How a model is loaded."""

    weights: str
    """A folder, or the repository the weights are published in."""
    config: str
    """YAML of the arguments of ``tensorrt_llm.LLM``."""
    thinking: bool = False

    def to_json(self) -> str:
        """Return this as the worker's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrtLlmLoad:
        """Read the worker's argument."""
        return cls(**json.loads(text))
