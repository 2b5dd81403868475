"""The network in plain torch: Nemotron-H (Mamba-2, experts, attention) with one MTP block.

Parameters carry the names of Nemotron's own checkpoints (``backbone.*``, ``mtp.*``), experts
stacked; `export.py` takes the stacks apart. Written because transformers has no MTP block for this
architecture, and to be quick on a CPU. `parity.py` compares it with transformers.

- Attention has no positions (NoPE); the Mamba layers carry them.
- Experts are ``relu(x W)^2 V``; the router's sigmoid scores choose with a bias that balances the
  load (Nemotron 3 and DeepSeek-V3: no auxiliary loss) and weigh without it.
- The MTP block reads the embedding of the next token and the hidden state after the last norm, and
  predicts the token after; it is applied to its own output for deeper drafts. Its last norm is a
  LayerNorm without bias, as llama.cpp's graph has it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAMBA, MOE, ATTENTION = "linear_attention", "moe", "full_attention"


class Config:
    """The values of ``config.json`` as attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    @classmethod
    def load(cls, path: Path) -> Config:
        return cls(json.loads(path.read_text(encoding="utf-8")))


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class GatedNorm(nn.Module):
    """RMS norm per group of ``x * silu(z)``."""

    def __init__(self, size: int, groups: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.groups = groups
        self.eps = eps

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        y = (x * F.silu(z)).unflatten(-1, (self.groups, -1))
        return F.rms_norm(y, (y.shape[-1],), None, self.eps).flatten(-2) * self.weight.to(x.dtype)


class Mamba2(nn.Module):
    """The state space mixer, scanned in chunks of ``CHUNK`` tokens; T must be a multiple of it."""

    CHUNK = 64

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.groups = config.mamba_num_heads, config.n_groups
        self.head_dim, self.state = config.mamba_head_dim, config.ssm_state_size
        self.inner = self.heads * self.head_dim
        self.channels = self.inner + 2 * self.groups * self.state
        size, taps = config.hidden_size, config.conv_kernel
        self.in_proj = nn.Linear(size, self.inner + self.channels + self.heads, bias=False)
        self.conv1d = nn.Conv1d(self.channels, self.channels, taps, groups=self.channels)
        self.dt_bias = nn.Parameter(torch.empty(self.heads))
        self.A_log = nn.Parameter(torch.log(torch.arange(1, self.heads + 1).float()))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = GatedNorm(self.inner, self.groups, config.layer_norm_epsilon)
        self.out_proj = nn.Linear(self.inner, size, bias=False)
        low, high = config.time_step_min, config.time_step_max
        span = torch.log(torch.tensor(high / low))
        dt = torch.exp(torch.rand(self.heads) * span) * low
        with torch.no_grad():
            self.dt_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus

    def forward(self, u: Tensor) -> Tensor:
        z, x, dt = self.in_proj(u).split([self.inner, self.channels, self.heads], -1)
        weight = self.conv1d.weight.to(x.dtype)  # [channels, 1, taps]
        taps = weight.shape[-1]
        padded = F.pad(x, (0, 0, taps - 1, 0))
        x = self.conv1d.bias.to(x.dtype) + sum(
            padded[:, k : k + u.shape[1]] * weight[:, 0, k] for k in range(taps)
        )
        x, b, c = F.silu(x).split([self.inner, *[self.groups * self.state] * 2], -1)
        y = self._scan(x, F.softplus(dt.float() + self.dt_bias), b, c)
        return self.out_proj(self.norm(y, z))

    def _scan(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """The state space recurrence in its chunked form (Dao and Gu 2024, section 6)."""
        size, length = x.shape[:2]
        each, chunks = self.heads // self.groups, length // self.CHUNK
        # g: groups, e: heads of a group, l and s: places in a chunk, p: head_dim, n: state.
        x = x.view(size, chunks, self.CHUNK, self.groups, each, self.head_dim)
        b = b.view(size, chunks, self.CHUNK, self.groups, self.state)
        c = c.view(size, chunks, self.CHUNK, self.groups, self.state)
        dt = dt.view(size, chunks, self.CHUNK, self.groups, each)
        decay = (dt * -self.A_log.exp().view(self.groups, each)).permute(0, 1, 3, 4, 2).cumsum(-1)
        xdt = (x * dt[..., None].to(x.dtype)).permute(0, 1, 3, 4, 2, 5)  # b c g e l p
        b, c = b.permute(0, 1, 3, 2, 4), c.permute(0, 1, 3, 2, 4)  # b c g l n

        # Within a chunk: a masked attention whose weights decay.
        past = torch.ones(self.CHUNK, self.CHUNK, dtype=torch.bool, device=x.device).tril()
        fade = (decay[..., :, None] - decay[..., None, :]).masked_fill(~past, -torch.inf).exp()
        scores = (c @ b.mT)[:, :, :, None] * fade.to(x.dtype)
        y = scores @ xdt

        # Across chunks: the state at each chunk's end, carried on.
        if chunks > 1:
            left = (decay[..., -1:] - decay).exp().to(x.dtype)
            states = (xdt * left[..., None]).mT @ b[:, :, :, None]  # b c g e p n
            whole = decay[..., -1].exp()
            carried = [torch.zeros_like(states[:, 0], dtype=torch.float32)]
            for k in range(chunks - 1):
                carried.append(carried[-1] * whole[:, k, ..., None, None] + states[:, k])
            before = torch.stack(carried, 1).to(x.dtype)
            seen = c[:, :, :, None] @ before.mT  # b c g e l p
            y = y + seen * decay.exp()[..., None].to(x.dtype)
        y = y.permute(0, 1, 4, 2, 3, 5) + x * self.D.view(self.groups, each, 1).to(x.dtype)
        return y.reshape(size, length, self.inner)


class Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim
        self.q_proj = nn.Linear(size, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(size, self.kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(size, self.kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Router(nn.Module):
    """Chooses experts; ``load`` counts what each got since it was last set to zero."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(config.n_routed_experts, config.hidden_size) * 0.02)
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))
        self.register_buffer("load", torch.zeros(config.n_routed_experts), persistent=False)
        self.chosen, self.scale = config.num_experts_per_tok, config.routed_scaling_factor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            scores = (x.float() @ self.weight.T).sigmoid()
        ids = (scores.detach() + self.e_score_correction_bias).topk(self.chosen, -1).indices
        weights = scores.gather(-1, ids)
        return ids, weights / (weights.sum(-1, keepdim=True) + 1e-20) * self.scale


class Experts(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        n, size, inner = config.n_routed_experts, config.hidden_size, config.moe_intermediate_size
        self.up_proj = nn.Parameter(torch.randn(n, inner, size) * 0.02)
        self.down_proj = nn.Parameter(torch.randn(n, size, inner) * 0.02)


class MLP(nn.Module):
    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.relu(self.up_proj(x)).square())


class MoE(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate = Router(config)
        self.experts = Experts(config)
        self.shared_experts = MLP(config.hidden_size, config.moe_shared_expert_intermediate_size)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        ids, weights = self.gate(flat)
        order = ids.flatten().argsort(stable=True)
        counts = torch.bincount(ids.flatten(), minlength=len(self.gate.load))
        if self.training:
            self.gate.load += counts
        rows = order // ids.shape[-1]
        up, down = (w.to(flat.dtype) for w in (self.experts.up_proj, self.experts.down_proj))
        parts = flat[rows].split(counts.tolist())
        done = [F.relu(p @ up[e].T).square() @ down[e].T for e, p in enumerate(parts)]
        routed = torch.cat(done) * weights.flatten()[order, None].to(flat.dtype)
        mixed = self.shared_experts(flat).index_add(0, rows, routed)
        return mixed.view_as(x)


MIXERS = {MAMBA: Mamba2, MOE: MoE, ATTENTION: Attention}


class Block(nn.Module):
    def __init__(self, config: Config, kind: str) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.layer_norm_epsilon)
        self.mixer = MIXERS[kind](config)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mixer(self.norm(x))


class MTP(nn.Module):
    """One attention and one expert layer that guess the token after the next."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_epsilon
        first, second = Block(config, ATTENTION), Block(config, MOE)
        first.enorm, first.hnorm = RMSNorm(size, eps), RMSNorm(size, eps)
        first.eh_proj = nn.Linear(2 * size, size, bias=False)
        second.final_layernorm = nn.LayerNorm(size, eps, bias=False)
        self.layers = nn.ModuleList([first, second])

    def forward(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        first, second = self.layers
        x = first.eh_proj(torch.cat([first.enorm(embedded), first.hnorm(hidden)], -1))
        return second.final_layernorm(second(first(x)))


class Backbone(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config, kind) for kind in config.layers_block_type)
        self.norm_f = RMSNorm(config.hidden_size, config.layer_norm_epsilon)

    def forward(self, embedded: Tensor) -> Tensor:
        for layer in self.layers:
            embedded = layer(embedded)
        return self.norm_f(embedded)


class NemotronTiny(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.mtp = MTP(config)
        depth = len(config.layers_block_type)
        for name, weight in self.named_parameters():
            if weight.ndim >= 2 and "conv1d" not in name:
                nn.init.normal_(weight, std=config.initializer_range)
                if name.endswith(
                    ("out_proj.weight", "o_proj.weight", "down_proj", "down_proj.weight")
                ):
                    with torch.no_grad():
                        weight /= depth**0.5

    def hidden(self, ids: Tensor, drafts: int = 0) -> list[Tensor]:
        """Return the hidden states that predict the next token and, per draft, those after.

        Args:
            ids: [batch, T], any T; what is behind a token does not touch it.
            drafts: How many times the MTP block is applied. ``hidden[d][:, i]`` is for the token
                at ``i + 1 + d`` and knows those up to ``i + d``.
        """
        length = ids.shape[1]
        padded = F.pad(ids, (0, -length % Mamba2.CHUNK))
        embedded = self.backbone.embeddings(padded)
        if torch.is_autocast_enabled(ids.device.type):
            embedded = embedded.to(torch.bfloat16)
        states = [self.backbone(embedded)]
        for depth in range(1, drafts + 1):
            ahead = F.pad(embedded[:, depth:], (0, 0, 0, depth))
            states.append(self.mtp(ahead, states[-1]))
        return [state[:, :length] for state in states]

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits of the next token, [batch, T, vocab]."""
        return self.lm_head(self.hidden(ids)[0])

    @torch.no_grad()
    def balance(self, step: float = 1e-3) -> None:
        """Shift the routers' biases towards equal load, and start counting anew."""
        for module in self.modules():
            if isinstance(module, Router):
                module.e_score_correction_bias += step * (module.load.mean() - module.load).sign()
                module.load.zero_()
