"""Evaluate a turn-words model on held-out utterances, uncorrupted; prints Markdown tables.

python models/turn-words/evaluate.py [WEIGHTS] [--without-agent]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from examples import Example, corpus, examples, split

from voice_agent.turns.words import WordModel


def auc(score: np.ndarray, ended: np.ndarray, weight: np.ndarray) -> float:
    """Area under the ROC curve: how often an end scores above a pause (ties count half)."""
    order = np.argsort(score, kind="stable")
    score, ended, weight = score[order], ended[order], weight[order]
    _, group = np.unique(score, return_inverse=True)
    ends = np.bincount(group, weight * ended)
    pauses = np.bincount(group, weight * ~ended)
    below = np.cumsum(pauses) - pauses
    return float(np.sum(ends * (below + pauses / 2)) / (ends.sum() * pauses.sum()))


SLICES: list[tuple[str, Callable[[Example], bool]]] = [
    ("all places, each as likely as a pause there", lambda row: True),
    ("SGD only", lambda row: row.source == "sgd"),
    ("generated only", lambda row: row.source == "generated"),
    ("SGD, each utterance against itself cut at a random word", lambda row: row.source == "sgd"),
    (
        "SGD, ends against phrase boundaries",
        lambda row: row.source == "sgd" and row.place in {"end", "boundary", "opening", ",", "."},
    ),
    ("one word so far", lambda row: len(row.words) == 1),
    (
        "one word so far, after a yes/no question or an offer of more",
        lambda row: len(row.words) == 1 and any(w in row.agent for w in YES_NO),
    ),
    (
        "ends in a digit or letter, after asking for a number or spelling",
        lambda row: (
            any(w in row.agent.lower() for w in NUMBERS) and row.place in {"end", "/", "digits"}
        ),
    ),
    (
        "phone numbers: whole against a pause between groups",
        lambda row: (
            any(w in row.agent.lower() for w in ("phone", "mobile", "contact number"))
            and row.place in {"end", "/"}
        ),
    ),
    ('ends against "um" at the end', lambda row: row.place in {"end", "filler"}),
]
YES_NO = ("Is ", "Shall", "Would", "Does", "Do you", "Are you", "Did", "Have you", "Anything else?")
NUMBERS = (
    "phone",
    "mobile",
    "contact number",
    "reach you",
    "account number",
    "order number",
    "zip",
    "confirmation number",
    "reference",
    "digits",
    "customer number",
    "spell",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?", type=Path)
    parser.add_argument("--without-agent", action="store_true")
    options = parser.parse_args()
    model = WordModel.load(options.weights)
    rows = list(examples(split(corpus())[1], corrupt=False))
    texts = [(" ".join(row.words), "" if options.without_agent else row.agent) for row in rows]
    started = time.perf_counter()
    score = np.array([model.end_probability(words, agent) for words, agent in texts])
    took = (time.perf_counter() - started) / len(rows) * 1e6
    ended = np.array([row.ended for row in rows])
    weight = np.array([row.weight for row in rows])
    source = np.array([row.source for row in rows])
    once = np.array([1.0 if row.ended else 1 / (len(row.words) + row.rest - 1) for row in rows])
    print(f"{len(rows)} places in {int(ended.sum())} held-out utterances; {took:.0f} us a call\n")

    print("| slice | ends | pauses | AUC |\n|---|---|---|---|")
    for name, chosen in SLICES:
        pick = np.array([chosen(row) for row in rows])
        weights = once if "random word" in name else weight
        print(
            f"| {name} | {int(ended[pick].sum())} | {int((~ended[pick]).sum())} | "
            f"{auc(score[pick], ended[pick], weights[pick]):.3f} |"
        )

    print("\n| probability | weight | mean | ended |\n|---|---|---|---|")
    edges = [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.01]
    for low, high in pairwise(edges):
        pick = (score >= low) & (score < high)
        if pick.any():
            print(
                f"| {low:.2f}-{min(high, 1):.2f} | {weight[pick].sum() / weight.sum():.3f} | "
                f"{np.average(score[pick], weights=weight[pick]):.3f} | "
                f"{np.average(ended[pick], weights=weight[pick]):.3f} |"
            )
    brier = float(np.average((score - ended) ** 2, weights=weight))
    base = float(np.average(ended, weights=weight))
    print(f"\nBrier {brier:.4f} (always saying {base:.3f}: {base * (1 - base):.4f})")

    places = ["within", "hesitation", "boundary", "opening", ",", ".", "/", "filler", "digits"]
    place = np.array([row.place for row in rows])
    print("\n| passes at | ends, SGD | ends, generated | " + " | ".join(places) + " |")
    print("|---" * (len(places) + 3) + "|")
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        passed = score >= threshold
        cells = [f"{passed[ended & (source == s)].mean():.3f}" for s in ("sgd", "generated")]
        cells += [f"{passed[place == name].mean():.3f}" for name in places]
        print(f"| {threshold} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
