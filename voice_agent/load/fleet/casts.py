"""The callers' voices: a scenario spoken a dozen times, by other voices with other values.

A cast is everything one caller says, in one voice. They are made once per scenario and kept.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from voice_agent.load import utterances
from voice_agent.load.errors import CallError
from voice_agent.load.fleet.scenario import Scenario
from voice_agent.load.playlist import Item, read_playlist
from voice_agent.load.script import SPOKEN
from voice_agent.load.wav import HZ, write_wav

CASTS = 12

Cast = Sequence[Item]
"""What one caller says, turn by turn."""


def read_casts(folder: Path, scenario: Scenario) -> list[Cast]:
    """Read the casts of a scenario back."""
    items = read_playlist(folder)
    turns = len(scenario.turn)
    return [items[start : start + turns] for start in range(0, len(items), turns)]


def make_casts(scenario: Scenario, base: Path, *, print: Callable[[str], object] = print) -> Path:
    """Speak a scenario, or find it spoken; return the folder.

    Raises:
        CallError: There is no synthesizer, or it failed.
    """
    said = json.dumps([scenario.model_dump(mode="json"), CASTS], sort_keys=True)
    digest = hashlib.sha256(said.encode()).hexdigest()[:12]
    folder = base / f"{scenario.name}-{digest}"
    if (folder / "index.json").is_file():
        return folder
    voices = [voice for voice in utterances.VOICES if shutil.which(voice.tool)]
    if not voices:
        raise CallError(
            "the callers' voices are made with flite, Festival or eSpeak NG, none of which is "
            "installed; install one (Debian: apt-get install flite)"
        )
    print(f"making the voices of the callers in {folder} ...")
    folder.mkdir(parents=True, exist_ok=True)
    variants = CASTS if scenario.vary else min(CASTS, len(voices))
    jobs = [
        (f"{number:02d}-{turn:02d}.wav", text, voices[number % len(voices)])
        for number in range(variants)
        for turn, text in enumerate(scenario.drawn(random.Random(number)))
    ]
    with ThreadPoolExecutor(2) as pool:
        entries = list(pool.map(lambda job: _speak(folder, *job), jobs))
    (folder / "index.json").write_text(json.dumps({"utterances": entries}, indent=1) + "\n")
    return folder


def _speak(folder: Path, name: str, text: str, voice: utterances.Voice) -> dict[str, object]:
    with TemporaryDirectory() as scratch:
        spoken = SPOKEN.get(text, text)
        samples = utterances.synthesize(voice, spoken, Path(scratch))
    padded, _, words = utterances.assemble([(text, samples)], [])
    write_wav(folder / name, padded)
    return {
        "file": name,
        "text": text,
        "voice": f"{voice.tool} {voice.name}",
        "start_ms": float(utterances.LEAD_MS),
        "end_ms": round(len(padded) * 1000 / HZ, 2),
        "words": [{"text": word.text, "at_ms": word.at_ms} for word in words],
    }
