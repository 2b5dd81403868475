"""Make the bench's utterances with flite, Festival and eSpeak NG, and noises with numpy.

``python -m voice_agent.load.utterances FOLDER`` writes one WAV each and an ``index.json`` that says
of every file its kind, its text, where its voice starts and truly ends, its pauses, and when each
of its words has been said. Nothing in it depends on what will listen.

Where a voice ends is taken from the clean synthesis. When a word ends is known for the last word of
every piece between two pauses; inside a piece it is shared out by the words' letters.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from voice_agent.load.errors import CallError
from voice_agent.load.noises import noise
from voice_agent.load.script import (
    DIGIT_PAUSES_MS,
    KINDS,
    NOISES,
    PAUSES_MS,
    SPOKEN,
    TEXTS,
    Kind,
)
from voice_agent.load.wav import HZ, Samples, read_wav, speech, write_wav
from voice_agent.load.word_times import Word, word_times

VERSION = 2
"""Raised when the set changes, so that a cached one is made anew."""
PEAK = 10 ** (-6 / 20) * 32767
LEAD_MS = 40
"""Silence left before the voice."""

_PACKAGES = {"flite": "flite", "text2wave": "festival", "espeak-ng": "espeak-ng"}


@dataclass(frozen=True, slots=True)
class Voice:
    """A synthetic speaker."""

    tool: str
    name: str


VOICES: tuple[Voice, ...] = (
    Voice("flite", "slt"),
    Voice("espeak-ng", "en-us"),
    Voice("flite", "rms"),
    Voice("text2wave", "voice_kal_diphone"),
    Voice("espeak-ng", "en-gb+f3"),
    Voice("flite", "awb"),
    Voice("espeak-ng", "en-gb-scotland+m4"),
    Voice("flite", "kal16"),
    Voice("espeak-ng", "en-us+f2"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the index; times are ms from the start of the file unless said otherwise."""

    file: str
    kind: Kind
    text: str
    voice: str
    start_ms: float
    end_ms: float
    pauses: list[tuple[float, float]]
    words: list[Word]
    """Their times are ms from the first voice, ``start_ms``."""


def missing_tools() -> list[str]:
    """Return the synthesizers that are not installed."""
    return [tool for tool in _PACKAGES if shutil.which(tool) is None]


def synthesize(voice: Voice, text: str, folder: Path) -> Samples:
    """Return text in a voice, 48 kHz mono, peak -6 dBFS, cut to where its voice starts and ends.

    Raises:
        CallError: The synthesizer failed.
    """
    path = folder / "piece.wav"
    match voice.tool:
        case "flite":
            command = ["flite", "-voice", voice.name, "-t", text, "-o", str(path)]
        case "espeak-ng":
            command = ["espeak-ng", "-v", voice.name, "-s", "165", "-w", str(path), "--", text]
        case _:
            command = ["text2wave", "-eval", f"({voice.name})", "-o", str(path)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode or not path.exists():
        raise CallError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    wave = read_wav(path).samples.astype(np.float64)
    return trimmed(np.round(wave * (PEAK / np.abs(wave).max())).astype(np.int16))


def trimmed(samples: Samples) -> Samples:
    """Cut speech to where its voice starts and ends; 5 ms of it are faded in."""
    cut = speech(samples)
    start, end = (round(ms * HZ / 1000) for ms in (cut.start_ms, cut.end_ms))
    kept = samples[start:end].copy()
    fade = HZ // 200
    kept[:fade] = np.round(kept[:fade] * np.linspace(0.0, 1.0, fade))
    return kept


def assemble(pieces: Sequence[tuple[str, Samples]], pauses_ms: Sequence[float]) -> tuple[
    Samples, list[tuple[float, float]], list[Word]
]:  # fmt: skip
    """Join spoken pieces with pauses; return the sound, its pauses and its words' times."""
    parts = [np.zeros(LEAD_MS * HZ // 1000, np.int16)]
    now_ms, pauses, words = float(LEAD_MS), [], []
    for index, (text, samples) in enumerate(pieces):
        if index:
            pause_ms = pauses_ms[index - 1]
            parts.append(np.zeros(round(pause_ms * HZ / 1000), np.int16))
            pauses.append((round(now_ms, 1), round(now_ms + pause_ms, 1)))
            now_ms += pause_ms
        end_ms = now_ms + len(samples) * 1000 / HZ
        words += word_times(text, now_ms - LEAD_MS, end_ms - LEAD_MS)
        parts.append(samples)
        now_ms = end_ms
    return np.concatenate(parts), pauses, words


def _pauses_ms(kind: Kind) -> Iterator[int]:
    return cycle(DIGIT_PAUSES_MS if kind == "digits" else PAUSES_MS)


def make(folder: Path, *, print: Callable[[str], object] = print) -> list[Entry]:
    """Write the whole set to ``folder``, or leave the one that is there.

    Raises:
        CallError: A synthesizer is missing, or failed.
    """
    index = folder / "index.json"
    if index.is_file():
        content = json.loads(index.read_text())
        if content.get("version") == VERSION:
            return [_entry(each) for each in content["utterances"]]
    if missing := missing_tools():
        packages = " ".join(sorted(_PACKAGES[tool] for tool in missing))
        raise CallError(
            f"the bench's utterances are made with {', '.join(missing)}, not found here; install "
            f"(Debian: apt-get install {packages}), or play recordings with --wav-dir"
        )
    print(f"making the bench's utterances in {folder} ...")
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[Callable[[], Entry]] = []
    voices = cycle(VOICES)
    for kind in KINDS:
        pauses = _pauses_ms(kind)
        for number, text in enumerate(TEXTS.get(kind, ())):
            gaps = [next(pauses) for _ in range(text.count("|"))]
            jobs.append(_say(folder, kind, number, text, next(voices), gaps))
    jobs += [_make_noise(folder, name) for name in NOISES]
    with ThreadPoolExecutor(max_workers=2) as pool:
        entries = list(pool.map(lambda job: job(), jobs))
    content = {"version": VERSION, "utterances": [asdict(entry) for entry in entries]}
    index.write_text(json.dumps(content, indent=1) + "\n")
    return entries


def _say(
    folder: Path, kind: Kind, number: int, text: str, voice: Voice, gaps: Sequence[int]
) -> Callable[[], Entry]:
    def job() -> Entry:
        texts = [piece.strip() for piece in text.split("|")]
        with TemporaryDirectory() as scratch:
            # A comma keeps the voice up: the speaker means to go on.
            pieces = [
                (piece, synthesize(voice, SPOKEN.get(piece, piece) + "," * goes_on, Path(scratch)))
                for piece, goes_on in zip(texts, [True] * (len(texts) - 1) + [False], strict=True)
            ]
        samples, pauses, words = assemble(pieces, gaps)
        name = f"{kind}-{number:02d}.wav"
        write_wav(folder / name, samples)
        return Entry(
            name,
            kind,
            " ".join(texts),
            f"{voice.tool} {voice.name}",
            start_ms=float(LEAD_MS),
            end_ms=round(len(samples) * 1000 / HZ, 2),
            pauses=pauses,
            words=words,
        )

    return job


def _make_noise(folder: Path, name: str) -> Callable[[], Entry]:
    def job() -> Entry:
        file = f"noise-{name}.wav"
        write_wav(folder / file, noise(name))
        heard = read_wav(folder / file)
        return Entry(file, "noise", "", name, heard.start_ms, heard.end_ms, [], [])

    return job


def _entry(raw: dict[str, object]) -> Entry:
    words = [Word(**each) for each in raw.pop("words")]  # type: ignore[attr-defined]
    return Entry(**raw, words=words)  # type: ignore[arg-type]


def main() -> int:
    """Make the set in the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    try:
        entries = make(parser.parse_args().folder)
    except CallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(entries)} utterances")
    return 0


if __name__ == "__main__":
    sys.exit(main())
