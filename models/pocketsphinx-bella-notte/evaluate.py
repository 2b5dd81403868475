"""Word error rate of the stock model and of ours, on synthesised callers.

    python models/pocketsphinx-bella-notte/evaluate.py [--part held-out] [--voices flite-slt ...]

Needs flite, festival (with festvox-us-slt-hts) and espeak-ng on the PATH; voices whose program is
missing are left out. Prints the table of the model card. Each voice is one caller: the decoder is
kept from sentence to sentence, as in a conversation.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voice_agent.asr.pocketsphinx_worker import load_decoder, spoken_words

HERE = Path(__file__).parent
RATE_HZ = 16_000
VOICES: dict[str, tuple[str, ...]] = {
    "flite-slt": ("flite", "-voice", "slt"),
    "flite-rms": ("flite", "-voice", "rms"),
    "flite-awb": ("flite", "-voice", "awb"),
    "flite-kal16": ("flite", "-voice", "kal16"),
    "festival-kal": ("text2wave", "-eval", "(voice_kal_diphone)"),
    "festival-slt-hts": ("text2wave", "-eval", "(voice_cmu_us_slt_arctic_hts)"),
    "espeak-en-us": ("espeak-ng", "-s", "150", "-v", "en-us"),
    "espeak-en-us-f3": ("espeak-ng", "-s", "150", "-v", "en-us+f3"),
    "espeak-en-gb": ("espeak-ng", "-s", "150", "-v", "en-gb"),
}
_OUTPUT = {"flite": ("-o",), "text2wave": ("-o",), "espeak-ng": ("-w",)}
_PREROLL_MS, _TAIL_MS, _NOISE_RMS = 500, 120, 10
_LATE_MS = 100
"""Decoded in pieces of 100 ms, as a worker does."""


@dataclass(slots=True)
class Score:
    errors: int = 0
    words: int = 0
    right: int = 0
    sentences: int = 0
    cpu_s: float = 0.0
    audio_s: float = 0.0
    finals_ms: tuple[float, ...] = ()
    wrong: tuple[str, ...] = ()

    def __add__(self, other: Score) -> Score:
        return Score(
            self.errors + other.errors,
            self.words + other.words,
            self.right + other.right,
            self.sentences + other.sentences,
            self.cpu_s + other.cpu_s,
            self.audio_s + other.audio_s,
            self.finals_ms + other.finals_ms,
            self.wrong + other.wrong,
        )


def distance(said: list[str], heard: list[str]) -> int:
    """Return the edit distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (word != other))
    return row[-1]


def spoken(voice: str, text: str, cache: Path) -> NDArray[np.int16]:
    """Return the text in that voice at 16 kHz with quiet noise before, under and after it."""
    path = cache / voice / f"{text.replace(' ', '-')}.wav"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        program = VOICES[voice][0]
        command = [*VOICES[voice], *_OUTPUT[program], str(path)]
        if program == "text2wave":
            subprocess.run(command, input=text, text=True, check=True)
        else:
            subprocess.run([*command, *(["-t"] if program == "flite" else []), text], check=True)
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE_HZ:
        samples = soxr.resample(samples, rate, RATE_HZ)
    around = (RATE_HZ // 1000 * _PREROLL_MS, RATE_HZ // 1000 * _TAIL_MS)
    padded = np.pad(samples * 32767, around)
    padded += np.random.default_rng(0).normal(0, _NOISE_RMS, len(padded))
    return padded.clip(-32768, 32767).astype(np.int16)


def decode(job: tuple[str, str, list[str], Path]) -> Score:
    """Score one voice with one model ("ours" or "stock")."""
    model, voice, sentences, cache = job
    decoder: Any
    if model == "stock":
        from pocketsphinx import Decoder

        decoder = Decoder(loglevel="FATAL")
    else:
        decoder = load_decoder(HERE)
    score = Score()
    step = RATE_HZ // 1000 * _LATE_MS
    for text in sentences:
        pcm = spoken(voice, text, cache)
        begin = time.process_time()
        decoder.start_utt()
        for at in range(0, len(pcm), step):
            decoder.process_raw(pcm[at : at + step].tobytes(), False, False)
            spoken_words(decoder)
        asked = time.process_time()
        decoder.end_utt()
        heard = spoken_words(decoder)
        end = time.process_time()
        errors = distance(text.split(), heard.split())
        score += Score(
            errors,
            len(text.split()),
            int(not errors),
            1,
            end - begin,
            len(pcm) / RATE_HZ,
            (1000 * (end - asked),),
            (f"{voice}: {text} -> {heard}",) if errors else (),
        )
    return score


def row(name: str, before: Score, after: Score) -> str:
    """Return a line of the table."""
    cells = [name]
    for score in (before, after):
        cells += [f"{100 * score.errors / score.words:.1f}"]
        cells += [f"{100 * score.right / score.sentences:.0f}"]
    return f"| {' | '.join(cells)} |"


def total(scores: Iterable[Score]) -> Score:
    return sum(scores, Score())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="held-out", choices=["held-out", "development"])
    parser.add_argument("--voices", nargs="*", default=list(VOICES), choices=list(VOICES))
    parser.add_argument("--cache", type=Path, default=Path("build/asr-evaluation"))
    parser.add_argument("--wrong", action="store_true", help="print what was misheard")
    args = parser.parse_args()
    sentences = (HERE / "evaluation" / f"{args.part}.txt").read_text().splitlines()
    voices = [voice for voice in args.voices if shutil.which(VOICES[voice][0])]
    jobs = [(m, v, sentences, args.cache) for v in voices for m in ("stock", "ours")]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as processes:
        # One voice's sentences are synthesised by whichever of its two jobs needs them first.
        for voice in voices:
            for text in sentences:
                spoken(voice, text, args.cache)
        scores = dict(zip([job[:2] for job in jobs], processes.map(decode, jobs), strict=True))
    print("| voice | WER stock, % | sentences right, % | WER ours, % | sentences right, % |")
    print("|---|---|---|---|---|")
    for voice in voices:
        print(row(voice, scores["stock", voice], scores["ours", voice]))
    groups = {"flite and festival": ("flite", "fest"), "espeak": ("espeak",), "all": ("",)}
    for name, prefixes in groups.items():
        chosen = [voice for voice in voices if voice.startswith(prefixes)]
        if chosen:
            both = [total(scores[m, v] for v in chosen) for m in ("stock", "ours")]
            print(row(f"**{name}**", both[0], both[1]))
    for model in ("stock", "ours"):
        score = total(scores[model, voice] for voice in voices)
        finals = sorted(score.finals_ms)
        print(
            f"{model}: RTF {score.cpu_s / score.audio_s:.3f}; CPU from the request to the final "
            f"text p50 {finals[len(finals) // 2]:.0f} ms, p95 {finals[len(finals) * 95 // 100]:.0f}"
        )
        if args.wrong and model == "ours":
            print("\n".join(score.wrong))


if __name__ == "__main__":
    main()
