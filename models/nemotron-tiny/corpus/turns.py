"""Rows that teach where turns end: a question and its answer, again and again, no host's answers.

From the training part of ``models/turn-words``, so that the same held-out utterances can judge
both models.
"""

from __future__ import annotations

import random
import sys
from functools import cache
from pathlib import Path
from typing import Any

from voice_agent.agents.agent import Agent

sys.path.insert(0, str(Path(__file__).parents[2] / "turn-words"))
from examples import Row, corpus, plain, split
from world import moment

PAIRS = 8
"""Questions and answers in a row."""


@cache
def _training() -> list[Row]:
    training, held_out = split(corpus())
    tested = {plain(words) for _, _, words in held_out}
    kept = [row for row in training if plain(row[2]) not in tested or len(row[2].split()) <= 3]
    return [row for row in kept if row[1]]


def turn_rows(rng: random.Random, count: int, bella: Agent) -> list[dict[str, Any]]:
    """Return ``count`` rows of ``PAIRS`` questions and answers."""
    rows = []
    for _ in range(count):
        messages = [{"role": "system", "content": bella.system_prompt(moment(rng), brief=True)}]
        for _, agent, words in rng.sample(_training(), PAIRS):
            messages.append({"role": "assistant", "content": agent, "train": False})
            messages.append({"role": "user", "content": plain(words)})
        rows.append({"messages": messages})
    return rows
