"""The Nemotron checkpoints that are known here, and what is known of them.

Figures are cited in ``models/NAME/README.md``. Memory is what the weights take, GiB; the state of
one conversation follows from the architecture: six attention layers of two heads with 128 values
(keys and values), and 23 Mamba-2 layers of 64 heads x 64 x 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CHECKPOINTS", "Checkpoint", "Precision", "checkpoint"]


class Precision(StrEnum):
    """How the weights are stored."""

    NVFP4 = "nvfp4"
    FP8 = "fp8"
    BF16 = "bf16"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One model and the forms it is published in."""

    name: str
    """As this project, and the servers it starts, call it."""
    repositories: Mapping[Precision, str]
    """Where each form is found."""
    weights_gib: Mapping[Precision, float]
    kv_dtype: Mapping[Precision, str]
    """The dtype of attention keys and values each form was validated with."""
    mtp: bool
    """Has a head that drafts tokens."""
    moe: bool = True
    """Mixture of experts."""
    kv_values: int = 6 * 2 * 2 * 128
    """Values kept for each token of a conversation by all attention layers together."""
    ssm_values: int = 23 * 64 * 64 * 128
    """Values kept for each conversation by all Mamba layers together."""
    reasoning_parsers: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType(
            {"trtllm": "nemotron-v3", "vllm": "nemotron_v3", "sglang": "nemotron_3"}
        )
    )
    tool_parser: str = "qwen3_coder"

    def state_gib(self, tokens: int, kv_bytes: float, ssm_bytes: float, snapshots: int) -> float:
        """Return what one conversation takes beside the weights, GiB.

        Args:
            tokens: Its length.
            kv_bytes: Of one attention value.
            ssm_bytes: Of one Mamba value.
            snapshots: States of the Mamba layers kept at once: the running one, one for each
                drafted token, and those that a later turn may begin from.
        """
        return (
            self.kv_values * tokens * kv_bytes + self.ssm_values * ssm_bytes * snapshots
        ) / 2**30


_N, _F, _B = Precision.NVFP4, Precision.FP8, Precision.BF16

CHECKPOINTS = {
    made.name: made
    for made in (
        Checkpoint(
            "nemotron-3.5-lightning",
            {
                _N: "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
                _B: "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-BF16",
            },
            {_N: 22.0, _B: 61.0},
            {_N: "fp8", _B: "auto"},
            mtp=True,
        ),
        Checkpoint(
            "nemotron-3-nano",
            {
                _N: "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4",
                _F: "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-FP8",
                _B: "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
            },
            {_N: 20.0, _F: 32.0, _B: 61.0},
            {_N: "fp8", _F: "fp8", _B: "auto"},
            mtp=False,
        ),
        Checkpoint(
            "nemotron-3-nano-4b",
            {
                _F: "nvidia/NVIDIA-Nemotron-3-Nano-4B-FP8",
                _B: "nvidia/NVIDIA-Nemotron-3-Nano-4B-BF16",
            },
            {_F: 5.0, _B: 8.0},
            {_F: "fp8", _B: "auto"},
            mtp=False,
            kv_values=4 * 2 * 8 * 128,  # its Mamba layers: the larger model's are an upper bound
            moe=False,
        ),
    )
}
"""By name."""


def checkpoint(name: str) -> Checkpoint:
    """Return the checkpoint of this name.

    Raises:
        KeyError: It is not known; the message lists those that are.
    """
    if name not in CHECKPOINTS:
        raise KeyError(f"no model is called {name!r}; there are: {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[name]
