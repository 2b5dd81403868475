"""Estimate, mix and prune trigram models, and write them as ARPA.

A mixture of two back-off models is again a back-off model: every n-gram that either knows gets
the mixed probability, and the back-off weights are what makes each history sum to one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from stock import StockModel

Gram = tuple[str, ...]
START, END = "<s>", "</s>"


class WittenBell:
    """Interpolated Witten-Bell trigram estimate of a corpus over a closed vocabulary."""

    def __init__(self, sentences: Iterable[tuple[list[str], float]], vocabulary: set[str]) -> None:
        """Count ``sentences``, each a list of words and how often it counts."""
        self.counts: dict[Gram, float] = Counter()
        for words, weight in sentences:
            line = [START, *words, END]
            for n in (1, 2, 3):
                for at in range(max(0, 2 - n), len(line) - n + 1):
                    self.counts[tuple(line[at : at + n])] += weight
        self._total: dict[Gram, float] = defaultdict(float)
        self._types: dict[Gram, int] = defaultdict(int)
        for gram, count in self.counts.items():
            self._total[gram[:-1]] += count
            self._types[gram[:-1]] += 1
        self._floor = 1 / len(vocabulary)

    def probability(self, gram: Gram) -> float:
        """Return P(last word | the words before it)."""
        lower = self.probability(gram[1:]) if len(gram) > 1 else self._floor
        history = gram[:-1]
        total = self._total.get(history, 0.0)
        if not total:
            return lower
        types = self._types[history]
        return (self.counts.get(gram, 0.0) + types * lower) / (total + types)


class Stock:
    """The stock model cut down to a vocabulary."""

    def __init__(self, model: StockModel, vocabulary: set[str]) -> None:
        """Keep the n-grams all of whose words are in ``vocabulary``."""
        words = model.words
        kept = np.array([word in vocabulary for word in words])
        self._prob: dict[Gram, float] = {}
        self._backoff: dict[Gram, float] = {}
        for i in np.flatnonzero(kept):
            self._prob[(words[i],)] = float(10 ** model.unigram[i])
            self._backoff[(words[i],)] = float(10 ** model.unigram_backoff[i])
        for i in np.flatnonzero(kept[model.bigrams].all(axis=1)):
            gram = tuple(words[j] for j in model.bigrams[i])
            self._prob[gram] = float(10 ** model.bigram[i])
            self._backoff[gram] = float(10 ** model.bigram_backoff[i])
        for i in np.flatnonzero(kept[model.trigrams].all(axis=1)):
            self._prob[tuple(words[j] for j in model.trigrams[i])] = float(10 ** model.trigram[i])

    def probability(self, gram: Gram) -> float:
        """Return P(last word | the words before it), 0 for a word the model does not know."""
        known = self._prob.get(gram)
        if known is not None:
            return known
        if len(gram) == 1:
            return 0.0
        return self._backoff.get(gram[:-1], 1.0) * self.probability(gram[1:])

    def strongest(self, order: int, count: int) -> set[Gram]:
        """Return the ``count`` n-grams whose loss would cost most (relative entropy)."""
        costs = []
        for gram, prob in self._prob.items():
            if len(gram) == order:
                history = math.prod(
                    self.probability(gram[max(0, i - 1) : i + 1]) for i in range(order - 1)
                )
                backed_off = self._backoff.get(gram[:-1], 1.0) * self.probability(gram[1:])
                costs.append((history * prob * abs(math.log(prob / backed_off)), gram))
        costs.sort(reverse=True)
        return {gram for _, gram in costs[:count]}


class Mixture:
    """``share`` of a domain model and the rest of the stock one."""

    def __init__(
        self,
        domain: WittenBell,
        stock: Stock,
        share: float,
        vocabulary: set[str],
        stock_bigrams: int,
        stock_trigrams: int,
        rare: float,
    ) -> None:
        """Collect the n-grams to store; trigrams of the domain counted below ``rare`` are left."""
        self._domain, self._stock, self._share = domain, stock, share
        trigrams = {g for g, c in domain.counts.items() if len(g) == 3 and c >= rare}
        trigrams |= stock.strongest(3, stock_trigrams)
        bigrams = {g for g, c in domain.counts.items() if len(g) == 2}
        bigrams |= stock.strongest(2, stock_bigrams)
        # sphinxbase's trie walks from the last word back: both halves of a trigram must exist.
        bigrams |= {g[:2] for g in trigrams} | {g[1:] for g in trigrams}
        self._orders = [{(word,) for word in vocabulary}, bigrams, trigrams]

    def _mixed(self, gram: Gram) -> float:
        return self._share * self._domain.probability(gram) + (
            1 - self._share
        ) * self._stock.probability(gram)

    def write_arpa(self, path: Path) -> None:
        """Write the model; rows are sorted, so that the same input gives the same file."""
        unigrams = {gram: self._mixed(gram) for gram in self._orders[0]}
        unigrams[(START,)] = 0.0
        whole = sum(unigrams.values())
        probs: list[dict[Gram, float]] = [{g: p / whole for g, p in unigrams.items()}]
        backoffs: list[dict[Gram, float]] = []
        for order in (1, 2):
            lower = probs[order - 1]
            mixed = {gram: self._mixed(gram) for gram in self._orders[order]}
            explicit: dict[Gram, float] = defaultdict(float)
            below: dict[Gram, float] = defaultdict(float)
            for gram, prob in mixed.items():
                explicit[gram[:-1]] += prob
                below[gram[:-1]] += lower[gram[1:]]
            backoffs.append({})
            for history in explicit:
                if explicit[history] > 0.999:  # a history with no room left for anything else
                    for gram in [g for g in mixed if g[:-1] == history]:
                        mixed[gram] *= 0.999 / explicit[history]
                    explicit[history] = 0.999
                left = max(1e-6, 1 - below[history])
                backoffs[-1][history] = (1 - explicit[history]) / left
            probs.append(mixed)
        backoffs.append({})
        with path.open("w", encoding="utf-8") as out:
            out.write("\\data\\\n")
            for order, rows in enumerate(probs, 1):
                out.write(f"ngram {order}={len(rows)}\n")
            for order, rows in enumerate(probs, 1):
                out.write(f"\n\\{order}-grams:\n")
                for gram in sorted(rows):
                    prob = math.log10(rows[gram]) if rows[gram] > 0 else -99.0
                    line = f"{prob:.4f} {' '.join(gram)}"
                    if order < 3:
                        line += f" {math.log10(backoffs[order - 1].get(gram, 1.0)):.4f}"
                    out.write(line + "\n")
            out.write("\n\\end\\\n")
