"""Recordings of which it is known what is said in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from voice_agent.load.errors import WavError
from voice_agent.load.wav import HZ, read_wav

__all__ = ["Recording", "recordings"]

HEARD_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Recording:
    """A file and its text."""

    path: Path
    text: str

    def samples(self) -> npt.NDArray[np.int16]:
        """Return it at 16 kHz mono, shape (n,).

        Raises:
            WavError: It cannot be read.
        """
        at_48_khz = read_wav(self.path).samples
        at_16_khz: npt.NDArray[np.int16] = soxr.resample(at_48_khz, HZ, HEARD_HZ)
        return at_16_khz


def recordings(folder: Path) -> list[Recording]:
    """Return the folder's WAVs and their texts, by name.

    A text is that of the folder's ``index.json`` (as the utterances of ``bench turns`` have one),
    else of ``NAME.txt`` beside the file, else the file's name with spaces for dashes.

    Raises:
        WavError: There is none.
    """
    found = list(_recordings(folder))
    if not found:
        raise WavError(f"{folder}: no WAV whose text is known")
    return found


def _recordings(folder: Path) -> Iterator[Recording]:
    index = folder / "index.json"
    told: dict[str, str] = {}
    if index.is_file():
        entries = json.loads(index.read_text(encoding="utf-8"))["utterances"]
        told = {entry["file"]: entry["text"] for entry in entries}
    for path in sorted(folder.glob("*.wav")):
        beside = path.with_suffix(".txt")
        if index.is_file():
            text = told.get(path.name, "")
        elif beside.is_file():
            text = beside.read_text(encoding="utf-8").strip()
        else:
            text = path.stem.replace("-", " ")
        if text:
            yield Recording(path, text)
