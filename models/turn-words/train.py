"""Train the turn-words model: logistic regression over hashed patterns, plain numpy, a minute.

    python models/turn-words/train.py [--without-agent OUT]

Reads ``sgd-spoken.jsonl.gz`` and ``generate.py``, writes ``turn-words.npz``. The same seed gives
the same weights. ``--without-agent`` trains the ablation that never knows the question.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from examples import Example, corpus, examples, plain, split

from voice_agent.turns.words import FORMAT, WEIGHTS_FILE, features

HERE = Path(__file__).parent
BUCKETS = 1 << 18
RARE = 3  # patterns seen in fewer examples say nothing
EPOCHS = 14
BATCH = 2048
RATE = 0.02
L2 = 8e-6


def hashed(rows: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    """Return every example's buckets end to end, and where each example starts."""
    buckets: list[int] = []
    starts = [0]
    for row in rows:
        buckets += [
            zlib.crc32(found.encode()) % BUCKETS for found in features(list(row.words), row.agent)
        ]
        starts.append(len(buckets))
    return np.array(buckets, np.int32), np.array(starts, np.int64)


def fit(rows: list[Example]) -> np.ndarray:
    """Minimise the weighted log loss with Adam; returns the weights, float32."""
    buckets, starts = hashed(rows)
    ended = np.array([row.ended for row in rows], np.float32)
    weight = np.array([row.weight for row in rows], np.float32)
    # The shared zero bucket: rare patterns all point to one weight that stays 0.
    rare = np.bincount(buckets, minlength=BUCKETS) < RARE
    print(f"{len(rows)} examples, {len(buckets)} patterns, {BUCKETS - int(rare.sum())} weights")
    weights = np.zeros(BUCKETS, np.float32)
    mean, square = np.zeros(BUCKETS, np.float32), np.zeros(BUCKETS, np.float32)
    rng = np.random.default_rng(1)
    step = 0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(rows))
        rate = RATE * (1 - epoch / EPOCHS) + 1e-4
        loss = 0.0
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            sizes = starts[batch + 1] - starts[batch]
            owner = np.repeat(np.arange(len(batch)), sizes)
            within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            used = buckets[np.repeat(starts[batch], sizes) + within]
            score = np.bincount(owner, weights[used], len(batch))
            chance = 1 / (1 + np.exp(-score))
            error = ((chance - ended[batch]) * weight[batch]).astype(np.float32)
            loss -= float(
                np.sum(
                    weight[batch] * np.log(np.where(ended[batch] > 0, chance, 1 - chance) + 1e-9)
                )
            )
            slope = np.bincount(used, error[owner], BUCKETS).astype(np.float32) / len(batch)
            slope += L2 * weights
            slope[rare] = 0
            step += 1
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope * slope - square)
            weights -= (
                rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
            )
        print(f"epoch {epoch + 1}: loss {loss / weight.sum():.4f}")
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-agent", type=Path, metavar="OUT")
    options = parser.parse_args()
    training, testing = split(corpus())
    without = {text for row in testing if (text := plain(row[2])).count(" ") > 2}
    rows = list(examples(training, corrupt=True, without=without))
    if options.without_agent:
        rows = [replace(row, agent="") for row in rows]
    total = sum(row.weight for row in rows)
    prior = sum(row.weight for row in rows if row.ended) / total
    print(f"prior of an end, given a pause: {prior:.3f}")
    out = options.without_agent or HERE / WEIGHTS_FILE
    np.savez_compressed(out, format=np.int64(FORMAT), weights=fit(rows).astype(np.float16))
    print(f"{out.name}: {out.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
