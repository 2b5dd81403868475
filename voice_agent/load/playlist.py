"""What a bench plays: sounds with their true speech ends, read from a folder with an index.

``index.json`` is ``{"utterances": [{"file": "a.wav", "end_ms": 1830.0, ...}, ...]}``, or just that
list, or ``{"a.wav": 1830.0, ...}``. ``end_ms`` is when the voice truly ends, from the start of the
file. ``kind`` (default ``complete``), ``text``, ``start_ms`` and ``words`` may be added:
``words`` is ``[{"text": "yes", "at_ms": 310}]``, when each word has been said, from the first
voice; a scripted ASR is told them. Where only the ``text`` is known its words are laid over the
voice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from voice_agent.load.errors import WavError
from voice_agent.load.script import KINDS, Kind
from voice_agent.load.wav import Speech, read_wav
from voice_agent.load.word_times import spoken_word_times

ENDS = ("end_ms", "speech_end_ms", "true_end_ms")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to play."""

    name: str
    kind: Kind
    speech: Speech
    text: str = ""
    words: tuple[Mapping[str, Any], ...] | None = None
    """What a scripted ASR is told it hears; None: nothing is known."""


def read_playlist(folder: Path) -> list[Item]:
    """Read a folder of WAVs and its index, in the index's order.

    Raises:
        WavError: The index or a file is missing or wrong; the message names it.
    """
    index = folder / "index.json"
    try:
        content = json.loads(index.read_text())
    except FileNotFoundError:
        raise WavError(
            f"{index}: no such file; it must say where the speech of every WAV truly ends, for "
            'example {"a.wav": 1830.0} in ms'
        ) from None
    except (OSError, ValueError) as error:
        raise WavError(f"{index}: not JSON: {error}") from error
    items = [_item(folder, raw, index) for raw in _entries(content, index)]
    if not items:
        raise WavError(f"{index}: it names no files")
    return items


def _entries(content: Any, index: Path) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, dict) and isinstance(content.get("utterances"), list):
        content = content["utterances"]
    if isinstance(content, dict):
        for name, value in content.items():
            if name.lower().endswith(".wav"):
                yield {"file": name, **(value if isinstance(value, dict) else {"end_ms": value})}
    elif isinstance(content, list):
        yield from content
    else:
        raise WavError(f"{index}: it must be a list, or an object of file names")


def _item(folder: Path, raw: Any, index: Path) -> Item:
    if not isinstance(raw, dict) or not isinstance(raw.get("file"), str):
        raise WavError(f'{index}: every entry needs a "file": {raw!r}')
    name = raw["file"]
    ends = [raw[key] for key in ENDS if key in raw]
    if len(ends) != 1 or not isinstance(ends[0], int | float):
        raise WavError(f'{index}: {name}: "end_ms" must say in ms where its speech truly ends')
    kind = raw.get("kind", "complete")
    if kind not in KINDS:
        raise WavError(f"{index}: {name}: kind {kind!r} must be one of {', '.join(KINDS)}")
    speech = read_wav(folder / name, end_ms=float(ends[0]))
    if isinstance(raw.get("start_ms"), int | float):
        speech = replace(speech, start_ms=float(raw["start_ms"]))
    words = raw.get("words")
    text = str(raw.get("text", ""))
    if kind == "noise":
        words = []
    elif words is None and text.split():
        words = [asdict(word) for word in spoken_word_times(text, speech)]
    return Item(
        name,
        cast(Kind, kind),
        speech,
        text,
        None if words is None else tuple(words),
    )


def choose(items: Sequence[Item], kinds: Sequence[str], limit: int | None) -> list[Item]:
    """Return the items of some kinds (empty: all), the first ``limit`` of each kind."""
    chosen: list[Item] = []
    for kind in KINDS:
        if not kinds or kind in kinds:
            chosen += [item for item in items if item.kind == kind][:limit]
    return chosen
