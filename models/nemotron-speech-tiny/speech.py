"""Synthesised callers to train on: sentences of the restaurant's grammar in many voices.

    python models/nemotron-speech-tiny/speech.py FOLDER [--utterances 12000] [--sentences FILE]

Needs flite, festival and espeak-ng on the PATH. Writes ``speech.pcm`` (16 kHz mono, 16-bit, one
utterance after the other) and ``speech.jsonl`` (a line each: start and length in samples, voice,
text); run again, it goes on where it stopped. Sentences are drawn from the grammar, those of the
evaluation left out, or from the lines of a file.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr

MODELS = Path(__file__).resolve().parent.parent
RESTAURANT = MODELS / "pocketsphinx-bella-notte"
RATE_HZ = 16_000
PEAK = 0.5
QUIET = 0.01
"""Below this share of the peak an utterance has not begun, or is over."""
FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = tuple(
    f"{accent}{variant}"
    for accent in ("en-us", "en-gb", "en-us", "en-gb-scotland")
    for variant in ("", "+f2", "+f3", "+f4", "+m2", "+m3", "+m4", "+m7")
)
HELD_OUT = ("festival kal_diphone", "espeak en-us+f1", "espeak en-us+m1")
"""Voices nobody trains on."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A synthetic speaker and how it speaks this time."""

    name: str
    command: tuple[str, ...]

    def say(self, text: str, path: Path) -> None:
        command = [*self.command, str(path)]
        if self.command[0] == "flite":
            command += ["-t", text]
        elif self.command[0] == "espeak-ng":
            command += ["--", text]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)


def voice(name: str, rng: random.Random | None = None) -> Voice:
    """Return the voice called so; with ``rng`` its pace and pitch vary as callers' do."""
    program, _, which = name.partition(" ")
    if program == "flite":
        settings: list[str] = []
        if rng is not None:
            pitch_hz = {"slt": 170, "rms": 95, "awb": 120, "kal16": 105}[which]
            pitch_hz *= rng.uniform(0.85, 1.2)
            settings += ["--setf", f"duration_stretch={rng.uniform(0.85, 1.2):.3f}"]
            settings += ["--setf", f"int_f0_target_mean={pitch_hz:.0f}"]
        return Voice(name, ("flite", "-voice", which, *settings, "-o"))
    if program == "espeak":
        pace = 165 if rng is None else rng.randint(140, 185)
        pitch = 50 if rng is None else rng.randint(35, 65)
        return Voice(name, ("espeak-ng", "-v", which, "-s", str(pace), "-p", str(pitch), "-w"))
    return Voice(name, ("text2wave", "-eval", f"(voice_{which})", "-o"))


def spoken(how: Voice, text: str, scratch: Path) -> np.ndarray | None:
    """Return the text in that voice: 16 kHz, int16, cut to where the voice begins and ends.

    None when the synthesizer gave no sound, as Festival and eSpeak rarely do.
    """
    path = scratch / "spoken.wav"
    how.say(text, path)
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE_HZ:
        samples = soxr.resample(samples, rate, RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max(initial=0.0))
    if not loud.size:
        return None
    samples = samples[loud[0] : loud[-1] + 1]
    return np.round(samples * (PEAK * 32767 / np.abs(samples).max())).astype(np.int16)


def sentences(seed: int, file: Path | None = None) -> tuple[random.Random, Callable[[], str]]:
    """Return a source of chance and a function that draws a sentence with it."""
    if file is not None:
        rng, lines = random.Random(seed), file.read_text().splitlines()
        return rng, lambda: rng.choice(lines)
    sys.path.insert(0, str(RESTAURANT))
    from grammar import read_grammar

    grammar = read_grammar(RESTAURANT / "corpus")
    rng = random.Random(seed)
    kept_out = {
        line.strip()
        for part in ("held-out", "development")
        for line in (RESTAURANT / "evaluation" / f"{part}.txt").read_text().splitlines()
    }

    def draw() -> str:
        while True:
            text: str = grammar.sentence(rng)
            if text not in kept_out and len(text.split()) <= 16:
                return text

    return rng, draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--utterances", type=int, default=12_000)
    parser.add_argument("--sentences", type=Path, help="instead of the grammar: a sentence a line")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    index = arguments.folder / "speech.jsonl"
    done = index.read_text().splitlines() if index.is_file() else []
    at = sum(json.loads(done[-1])[key] for key in ("start", "samples")) if done else 0
    rng, draw = sentences(arguments.seed + len(done), arguments.sentences)
    with (
        TemporaryDirectory() as scratch,
        (arguments.folder / "speech.pcm").open("ab") as pcm,
        index.open("a") as lines,
    ):
        pcm.truncate(at * 2)
        count = len(done)
        while count < arguments.utterances:
            text = draw()
            family = rng.choices(("flite", "espeak"), (6, 4))[0]
            name = f"{family} {rng.choice(FLITE if family == 'flite' else ESPEAK)}"
            samples = spoken(voice(name, rng), text, Path(scratch))
            if samples is None:
                continue
            count += 1
            pcm.write(samples.tobytes())
            pcm.flush()
            entry = {"start": at, "samples": len(samples), "voice": name, "text": text}
            print(json.dumps(entry), file=lines, flush=True)
            at += len(samples)


if __name__ == "__main__":
    main()
