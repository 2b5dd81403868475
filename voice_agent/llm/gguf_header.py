"""Reads what a GGUF file says of itself, without loading it and without its tensors.

The ``gguf`` package reads the same, but makes an array of every one of a vocabulary's words on
the way (seconds for a real model) and asks for an HTTP client; this reads nothing else.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from voice_agent.engines import EngineError

__all__ = ["GgufHeader", "read_header"]

_MAGIC = b"GGUF"
_SCALARS = {
    **{0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i"},
    **{6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"},
}
_STRING, _ARRAY = 8, 9
_LONGEST_STRING = 1 << 26
_LONGEST_KEPT = 4096
"""Longer arrays are vocabularies; they are passed over."""
_PART = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A model file's own description."""

    path: Path
    values: Mapping[str, Any]
    """By key; arrays are lists, vocabularies are left out."""
    size_bytes: int
    """Of the file, or of all its parts."""

    @property
    def architecture(self) -> str:
        """For example "nemotron_h_moe"; empty where the file does not say."""
        return str(self.values.get("general.architecture", ""))

    def of_model(self, key: str, default: Any = None) -> Any:
        """Return a value of the architecture's own, for example ``context_length``."""
        return self.values.get(f"{self.architecture}.{key}", default)

    @property
    def trained_context(self) -> int:
        """Tokens the model was trained to look at; 0 where the file does not say."""
        return int(self.of_model("context_length", 0))

    @property
    def drafting_layers(self) -> int:
        """Blocks that predict further tokens (MTP); 0 when it has none."""
        return int(self.of_model("nextn_predict_layers", 0))


def read_header(path: Path) -> GgufHeader:
    """Read a model's description; blocking, some ms (0.3 s where the vocabulary is large).

    Raises:
        EngineError: Not there, not a GGUF, or cut off.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                raise EngineError(f"{path} is not a GGUF file")
            version = _scalar(file, "<I")
            if version not in (2, 3):
                raise EngineError(f"{path} is a GGUF of version {version}; 2 and 3 are known")
            _scalar(file, "<Q")  # the number of tensors
            values: dict[str, Any] = {}
            for _ in range(_scalar(file, "<Q")):
                key = _text(file)
                value = _value(file, _scalar(file, "<I"))
                if value is not None:
                    values[key] = value
            return GgufHeader(path, values, _size(path))
    except OSError as error:
        raise EngineError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (struct.error, ValueError) as error:
        raise EngineError(f"{path} is damaged or cut off: copy it again ({error})") from error


def _size(path: Path) -> int:
    part = _PART.fullmatch(path.name)
    if part is None:
        return path.stat().st_size
    name, count = part.groups()
    parts = [path.with_name(f"{name}-{n + 1:05}-of-{count}.gguf") for n in range(int(count))]
    if missing := [other.name for other in parts if not other.is_file()]:
        raise EngineError(f"{path} is one of {count} parts, and {missing[0]} is not beside it")
    return sum(other.stat().st_size for other in parts)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind in _SCALARS:
        return _scalar(file, _SCALARS[kind])
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        raise ValueError(f"unknown type {kind}")
    of = _scalar(file, "<I")
    count = _scalar(file, "<Q")
    if count <= _LONGEST_KEPT:
        return [_value(file, of) for _ in range(count)]
    if of in _SCALARS:
        file.seek(struct.calcsize(_SCALARS[of]) * count, 1)
    else:
        for _ in range(count):
            file.seek(_scalar(file, "<Q"), 1)
    return None


def _scalar(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _text(file: BinaryIO) -> str:
    length = _scalar(file, "<Q")
    if length > _LONGEST_STRING:
        raise ValueError(f"a string of {length} bytes")
    return bytes(file.read(length)).decode(errors="replace")
