"""What the recogniser makes of callers: sentences through synthetic voices and PocketSphinx.

    nice python models/nemotron-tiny/corpus/hear.py --count 8000

appends to ``heard.jsonl.gz``, one {"said": ..., "heard": ..., "voice": ...} a line. Needs flite,
espeak-ng and festival; an hour's worth of speech takes about ten minutes of one core. Every other
sentence is drawn from the recogniser's own grammar of callers (none of its test sentences), the
rest are the corpus's own, with their slots.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECOGNISER = HERE.parents[1] / "pocketsphinx-bella-notte"
sys.path.insert(0, str(RECOGNISER))

from evaluate import spoken  # noqa: E402
from grammar import read_grammar  # noqa: E402
from phrases import Phrases  # noqa: E402
from wording import Said  # noqa: E402

from voice_agent.asr.pocketsphinx_worker import load_decoder, spoken_words  # noqa: E402

HEARD = HERE / "heard.jsonl.gz"
VOICES = {
    "flite-slt": 5,
    "flite-rms": 4,
    "flite-awb": 4,
    "flite-kal16": 3,
    "espeak-en-us": 3,
    "espeak-en-us-f3": 2,
}
ACTS = {"book": 6, "inform": 10, "correct": 3, "change": 3, "check": 2, "hours": 1, "name": 2}
ACTS |= {"cancel": 1, "yes": 1, "no": 1, "bye": 1}
_STEP_SAMPLES = 1600


def recognised(decoder: Any, voice: str, said: str, folder: Path) -> str:
    """Return what the recogniser makes of one sentence; the sound stays in ``folder``."""
    pcm = spoken(voice, said, folder)
    decoder.start_utt()
    for at in range(0, len(pcm), _STEP_SAMPLES):
        decoder.process_raw(pcm[at : at + _STEP_SAMPLES].tobytes(), False, False)
    decoder.end_utt()
    return spoken_words(decoder)


def hear(callers: Iterable[tuple[str, Said]]) -> Iterator[dict[str, Any]]:
    """Yield what becomes of what each voice says; a voice is one caller, as in a call."""
    decoders: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        for number, (voice, said) in enumerate(callers):
            if voice not in decoders:
                decoders[voice] = load_decoder(RECOGNISER)
            folder = Path(cache) / str(number)  # each sound is used once
            heard = recognised(decoders[voice], voice, said.text, folder)
            for wav in folder.rglob("*.wav"):
                wav.unlink()
            row = {"said": said.text, "heard": heard, "voice": voice}
            if said.act:
                row |= {"act": said.act, "marks": list(said.marks), "values": dict(said.values)}
            yield row


def drawn(rng: random.Random) -> Iterator[Said]:
    """Yield what callers of the corpus say, by turns with sentences of the recogniser's grammar."""
    phrases = Phrases()
    phrases.rng = rng
    grammar = read_grammar(RECOGNISER / "corpus")
    while True:
        words = tuple(grammar.sentence(rng).split())
        yield Said("", words, ("",) * len(words))
        act = rng.choices(list(ACTS), list(ACTS.values()))[0]
        today = date(2026, 1, 1) + timedelta(days=rng.randrange(365))
        slots = rng.choice([s for s in phrases.slot_sets(act) if "about" not in s])
        yield phrases.say(act, set(slots), today)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--out", type=Path, default=HEARD)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    tested = {
        line
        for part in ("development", "held-out")
        for line in (RECOGNISER / "evaluation" / f"{part}.txt").read_text().splitlines()
    }
    said = (said for said in islice(drawn(rng), options.count) if said.text not in tested)
    callers = ((rng.choices(list(VOICES), list(VOICES.values()))[0], one) for one in said)
    with gzip.open(options.out, "at", encoding="utf-8") as out:
        for row in hear(callers):
            out.write(json.dumps(row) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
