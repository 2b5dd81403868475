"""Trains the trunk and its MTP block together on a folder of dialogues, on one CPU core.

The folder is read as it is: shards may be replaced by better ones while this runs. Each step takes
dialogues of like length, about ``--tokens`` of them, one to a row. The learning rate warms up,
stays, and falls to nothing in the last part of the time; the end is a time, not a number of steps,
so that a shared machine ends with a model all the same. Stop and start it as you like: it goes on
from its last checkpoint. Several processes may train together, one a core (two torch threads are
slower than two processes): they average their gradients, and each makes Muon's step for a part of
the matrices.

    python models/nemotron-tiny/train.py --corpus DIR --out DIR --minutes 90
    for rank in 0 1; do python models/nemotron-tiny/train.py ... --ranks 2 --rank $rank & done
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from dialogue import FOLDER, ChatTemplate, Encoder
from model import Config, NemotronTiny, Router
from optimiser import Muon
from tokenizers import Tokenizer
from torch import Tensor

PAD = 0
DRAFTS = 2
"""How deep the MTP block is trained."""
EVERY = 4
"""On how many steps once: it learns faster than the trunk, and costs a third of a step."""
DRAFT_LOSS = 0.3
LONGEST = 1024
"""Tokens of a dialogue that are read; the few longer ones are cut."""
Row = tuple[list[int], list[float]]


def rows(corpus: Path, encoder: Encoder, seed: int) -> Iterator[Row]:
    """Yield dialogues for ever, from shards picked at random as they are then."""
    chance = random.Random(seed)
    while True:
        shards = sorted(p for p in corpus.glob("shard-*.jsonl"))
        if not shards:
            raise SystemExit(f"{corpus}: no shard-*.jsonl; make them with corpus/shards.py")
        lines = chance.choice(shards).read_text(encoding="utf-8").splitlines()
        chance.shuffle(lines)
        # A part of a shard at a time mixes them.
        for line in lines[: max(1, len(lines) // 4)]:
            ids, weights = encoder(json.loads(line)["messages"])
            yield ids[:LONGEST], weights[:LONGEST]


def batches(source: Iterator[Row], tokens: int, seed: int) -> Iterator[list[Row]]:
    """Group dialogues of like length, so that little is padding."""
    chance = random.Random(seed)
    while True:
        pool = sorted((next(source) for _ in range(400)), key=lambda row: len(row[0]))
        groups: list[list[Row]] = [[]]
        for row in pool:
            if (len(groups[-1]) + 1) * len(row[0]) > tokens:
                groups.append([])
            groups[-1].append(row)
        chance.shuffle(groups)
        yield from groups


def tensors(batch: list[Row]) -> tuple[Tensor, Tensor]:
    """Return ids and weights, [rows, T], padded at the end."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + [PAD] * (length - len(row)) for row, _ in batch])
    weights = torch.tensor([w + [0.0] * (length - len(w)) for _, w in batch])
    return ids, weights


def losses(model: NemotronTiny, ids: Tensor, weights: Tensor, drafts: int) -> list[Tensor]:
    """Return the weighted cross-entropy of the next token and of each draft."""
    found = []
    for depth, hidden in enumerate(model.hidden(ids[:, :-1], drafts)):
        targets, wanted = ids[:, 1 + depth :], weights[:, 1 + depth :]
        at = wanted > 0  # the head is asked only where something is learned
        logits = model.lm_head(hidden[:, : targets.shape[1]][at]).float()
        each = F.cross_entropy(logits, targets[at], reduction="none")
        found.append((each * wanted[at]).sum() / wanted.sum())
    return found


def rate(done: float, warm_up: float = 0.015, falls: float = 0.35) -> float:
    """Return the part of the learning rate after ``done`` of the time, 0 to 1."""
    return min(1.0, done / warm_up, max(0.01, (1 - done) / falls))


class Training:
    """A model with its optimisers, saved and loaded as one; every rank has its own."""

    def __init__(self, out: Path, lr: float, rank: int, ranks: int) -> None:
        self.out, self.lr, self.rank, self.ranks = out, lr, rank, ranks
        self.model = NemotronTiny(Config.load(FOLDER / "config.json"))
        self.weights = list(self.model.parameters())
        self.routers = [m for m in self.model.modules() if isinstance(m, Router)]
        self.matrices, others = [], []
        for name, weight in self.model.named_parameters():
            inside = "layers" in name and weight.ndim >= 2
            special = "conv1d" in name or "gate" in name
            (self.matrices if inside and not special else others).append(weight)
        self.optimisers = [
            Muon(self.matrices[rank::ranks], lr=lr),
            torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        ]
        self.steps, self.tokens, self.seconds = 0, 0, 0.0
        if (out / "last.pt").exists():
            self._load()

    def step(self, batch: list[Row], lr: float) -> list[float]:
        """Learn from one batch; return its losses."""
        ids, weights = tensors(batch)
        drafts = DRAFTS if self.steps % EVERY == 0 else 0
        with torch.autocast("cpu", torch.bfloat16):
            found = losses(self.model, ids, weights, drafts)
        total = found[0] + DRAFT_LOSS * sum(found[1:], torch.zeros(())) / max(drafts, 1)
        total.backward()
        if self.ranks > 1:
            self._average([w.grad for w in self.weights if w.grad is not None])
            self._average([router.load for router in self.routers])
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
        for weight in self.weights:
            weight.grad = None
        if self.ranks > 1:
            self._share_matrices()
        self.model.balance()
        self.steps += 1
        self.tokens += self.ranks * sum(len(row) for row, _ in batch)
        return [loss.item() for loss in found]

    def _average(self, parts: list[Tensor]) -> None:
        flat = torch.cat([part.flatten() for part in parts])
        dist.all_reduce(flat)
        for part, mean in zip(parts, flat.split([p.numel() for p in parts]), strict=True):
            part.copy_(mean.view_as(part) / self.ranks)

    @torch.no_grad()
    def _share_matrices(self) -> None:
        """Give the others the matrices that are this rank's to step, and take theirs."""
        mine = [at % self.ranks == self.rank for at in range(len(self.matrices))]
        flat = torch.cat([m.flatten() * own for m, own in zip(self.matrices, mine, strict=True)])
        dist.all_reduce(flat)
        sizes = [matrix.numel() for matrix in self.matrices]
        for matrix, new in zip(self.matrices, flat.split(sizes), strict=True):
            matrix.copy_(new.view_as(matrix))

    def clock(self, seconds: float) -> None:
        """Count time as rank 0 does."""
        if self.ranks > 1:
            told = torch.tensor([seconds])
            dist.broadcast(told, 0)
            seconds = told.item()
        self.seconds += seconds

    def save(self) -> None:
        """Write ``last.pt`` and each rank's optimisers; a cut does not spoil them."""
        kept = [optimiser.state_dict() for optimiser in self.optimisers]
        files = {f"optimisers-{self.rank}.pt": {"optimisers": kept, "steps": self.steps}}
        if self.rank == 0:
            files["last.pt"] = {
                "model": self.model.state_dict(),
                "steps": self.steps,
                "tokens": self.tokens,
                "seconds": self.seconds,
            }
        for name, state in files.items():
            torch.save(state, self.out / f"new-{name}")
            (self.out / f"new-{name}").replace(self.out / name)

    def _load(self) -> None:
        state = torch.load(self.out / "last.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.steps, self.tokens, self.seconds = state["steps"], state["tokens"], state["seconds"]
        mine = self.out / f"optimisers-{self.rank}.pt"
        if mine.exists():
            kept = torch.load(mine, weights_only=True)["optimisers"]
            for optimiser, saved in zip(self.optimisers, kept, strict=True):
                optimiser.load_state_dict(saved)


@torch.no_grad()
def held_out(model: NemotronTiny, batches: list[list[Row]]) -> list[float]:
    """Return the mean loss per assistant token, of the trunk and of each draft."""
    model.eval()
    total, weight = [0.0] * (DRAFTS + 1), 0.0
    for batch in batches:
        ids, weights = tensors([(ids, [float(w >= 1) for w in ws]) for ids, ws in batch])
        with torch.autocast("cpu", torch.bfloat16):
            found = losses(model, ids, weights, DRAFTS)
        total = [
            t + loss.item() * float(weights.sum()) for t, loss in zip(total, found, strict=True)
        ]
        weight += float(weights.sum())
    model.train()
    return [t / weight for t in total]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--tokens", type=int, default=2048, help="a step of one rank")
    parser.add_argument("--lr", type=float, default=3.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ranks", type=int, default=1, help="processes that train together")
    parser.add_argument("--rank", type=int, default=0, help="which of them this is")
    arguments = parser.parse_args()
    rank, ranks = arguments.rank, arguments.ranks
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)  # the same weights in every rank
    arguments.out.mkdir(parents=True, exist_ok=True)
    if ranks > 1:
        meeting = f"file://{(arguments.out / 'meeting').absolute()}"
        dist.init_process_group("gloo", meeting, rank=rank, world_size=ranks)

    encoder = Encoder(Tokenizer.from_file(str(FOLDER / "tokenizer.json")), ChatTemplate())
    lines = (arguments.corpus / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    unseen = [encoder(json.loads(line)["messages"]) for line in lines[:60]]
    unseen_batches = [unseen[at : at + 10] for at in range(0, len(unseen), 10)]

    training = Training(arguments.out, arguments.lr, rank, ranks)
    seed = arguments.seed + 1000 * (training.steps + rank)
    source = batches(rows(arguments.corpus, encoder, seed), arguments.tokens, seed)
    if rank == 0:
        print(f"{sum(w.numel() for w in training.weights)} parameters", flush=True)
    budget, saved, told = arguments.minutes * 60, training.seconds, training.seconds
    last = time.monotonic()
    while training.seconds < budget:
        found = training.step(next(source), arguments.lr * rate(training.seconds / budget))
        now = time.monotonic()
        training.clock(now - last)
        last = now
        if training.steps % 20 < 2 and rank == 0:
            print(
                f"step {training.steps} tokens {training.tokens} "
                f"minutes {training.seconds / 60:.1f} "
                f"loss {' '.join(f'{loss:.3f}' for loss in found)}",
                flush=True,
            )
        if training.seconds - saved > 300:
            training.save()
            saved = training.seconds
        if training.seconds - told > 600:
            told = training.seconds
            if rank == 0:
                report(training.model, unseen_batches)
    training.save()
    if rank == 0:
        report(training.model, unseen_batches)


def report(model: NemotronTiny, batches: list[list[Row]]) -> None:
    print("held out", *(f"{loss:.4f}" for loss in held_out(model, batches)), flush=True)


if __name__ == "__main__":
    main()
