"""The transducer loss in plain PyTorch; NeMo's own for CPUs is a loop in Python over every cell."""

from __future__ import annotations

import torch
from torch import Tensor

_NEVER = -1e9


def transducer_loss(logits: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of the labels, one value.

    The lattice is walked by anti-diagonals: all cells of one are computed at once.

    Args:
        logits: (batch, T, U + 1, tokens + 1), the blank last.
        labels: (batch, U), padded with anything.
        frames: (batch,), of T those that count.
        lengths: (batch,), of U those that count.
    """
    batch, t_max, u_max, classes = logits.shape
    log_p = logits.log_softmax(-1)
    blank = log_p[..., classes - 1]
    index = labels.clamp(max=classes - 2)[:, None, :, None].expand(batch, t_max, -1, 1)
    label = log_p[:, :, : u_max - 1].gather(-1, index).squeeze(-1)
    u = torch.arange(u_max, device=logits.device)
    diagonals = t_max + u_max - 1
    # Cell (t, u) lies on diagonal t + u: turn diagonals into rows.
    t = torch.arange(diagonals, device=logits.device)[:, None] - u
    inside = (t >= 0) & (t < t_max)
    t = t.clamp(0, t_max - 1)
    blank_rows = blank[:, t, u].masked_fill(~inside, _NEVER)
    label_rows = label[:, t[:, :-1], u[:-1]].masked_fill(~inside[:, :-1], _NEVER)
    alpha = torch.full((batch, u_max), _NEVER, device=logits.device)
    alpha[:, 0] = 0.0
    rows = [alpha]
    for n in range(1, diagonals):
        stay = rows[-1] + blank_rows[:, n - 1]
        move = rows[-1][:, :-1] + label_rows[:, n - 1]
        move = torch.nn.functional.pad(move, (1, 0), value=_NEVER)
        rows.append(torch.logaddexp(stay, move))
    last = (frames - 1 + lengths).long()
    each = torch.arange(batch, device=logits.device)
    final = torch.stack(rows, 1)[each, last, lengths] + blank_rows[each, last, lengths]
    return -final.mean()
