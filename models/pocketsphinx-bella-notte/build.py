"""Build the language model and the dictionary PocketSphinx hears restaurant callers with.

    python models/pocketsphinx-bella-notte/build.py

Needs only this folder and the ``pocketsphinx`` wheel. See README.md for what goes in.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pocketsphinx
from grammar import read_grammar
from stock import read_stock_model
from trigrams import END, START, Mixture, Stock, WittenBell

HERE = Path(__file__).parent
STOCK = Path(pocketsphinx.get_model_path()) / "en-us"
SEED = 20


def read_pronunciations(path: Path) -> dict[str, list[str]]:
    """Return each word's pronunciations, the usual one first."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        head, _, phones = line.partition(" ")
        if phones:
            found[re.sub(r"\(\d+\)$", "", head)].append(phones.strip())
    return found


def domain_corpus(drawn: int, sgd_weight: float) -> list[tuple[list[str], float]]:
    """Return sentences and weights: the grammar's and the written ones; none we test with."""
    tested = {
        line
        for part in ("development", "held-out")
        for line in (HERE / "evaluation" / f"{part}.txt").read_text().splitlines()
        if len(line.split()) > 3
    }
    grammar, rng = read_grammar(HERE / "corpus"), random.Random(SEED)
    lines = Counter(grammar.sentence(rng) for _ in range(drawn))
    corpus = [(line.split(), float(n)) for line, n in lines.items() if line not in tested]
    written = gzip.decompress((HERE / "corpus" / "sgd.txt.gz").read_bytes()).decode()
    for line, n in Counter(written.splitlines()).items():
        if line not in tested:
            # A greeting said a thousand times in a chat corpus is not a thousand times as likely.
            corpus.append((line.split(), sgd_weight * min(n, 5)))
    return corpus


def build(args: argparse.Namespace) -> None:
    """Write ``bella-notte.lm.bin`` and ``bella-notte.dict``."""
    ours = read_pronunciations(HERE / "pronunciations.dict")
    theirs = read_pronunciations(STOCK / "cmudict-en-us.dict")
    spoken = {word: list(phones) for word, phones in theirs.items()}
    for word, phones in ours.items():
        spoken[word] = list(dict.fromkeys([*phones, *spoken.get(word, [])]))

    corpus = domain_corpus(args.drawn, args.sgd_weight)
    unpronounced = Counter(w for words, _ in corpus for w in words if w not in spoken)
    frequent = Counter[str]()
    for words, weight in corpus:
        for word in words:
            frequent[word] += weight  # type: ignore[assignment]
    stock = read_stock_model(STOCK / "en-us.lm.bin")
    general = [stock.words[i] for i in stock.unigram.argsort()[::-1] if stock.words[i] in spoken]
    general = [w for w in general if re.fullmatch(r"[a-z][a-z']*", w)]
    general = [w for w in general if len(w) > 1 or w in "ai"][: args.general_words]
    vocabulary = {w for w in frequent if w in spoken and frequent[w] >= 1} | set(general)
    print(f"{len(vocabulary)} words; without a pronunciation: {unpronounced.most_common(60)}")
    corpus = [(words, n) for words, n in corpus if all(w in vocabulary for w in words)]
    vocabulary |= {START, END}

    mixture = Mixture(
        WittenBell(corpus, vocabulary),
        Stock(stock, vocabulary),
        share=args.share,
        vocabulary=vocabulary,
        stock_bigrams=args.stock_bigrams,
        stock_trigrams=args.stock_trigrams,
        rare=args.rare,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        arpa = Path(folder) / "model.arpa"
        mixture.write_arpa(arpa)
        decoder = pocketsphinx.Decoder(lm=None, loglevel="ERROR")
        model = pocketsphinx.NGramModel(decoder.config, decoder.logmath, str(arpa))
        model.write(str(args.out / "bella-notte.lm.bin"))
        print("".join(arpa.open().readlines()[:4]))
    with (args.out / "bella-notte.dict").open("w", encoding="utf-8") as out:
        for word in sorted(vocabulary - {START, END}):
            for i, phones in enumerate(spoken[word], 1):
                out.write(f"{word if i == 1 else f'{word}({i})'} {phones}\n")
    for name in ("bella-notte.lm.bin", "bella-notte.dict"):
        print(name, (args.out / name).stat().st_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--drawn", type=int, default=120_000, help="sentences of the grammar")
    parser.add_argument("--sgd-weight", type=float, default=0.5)
    parser.add_argument("--general-words", type=int, default=5_000)
    parser.add_argument("--share", type=float, default=0.9, help="of the domain in the mixture")
    parser.add_argument("--stock-bigrams", type=int, default=60_000)
    parser.add_argument("--stock-trigrams", type=int, default=60_000)
    parser.add_argument("--rare", type=float, default=2.0)
    build(parser.parse_args())


if __name__ == "__main__":
    main()
