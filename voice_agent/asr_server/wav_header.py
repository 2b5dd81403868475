"""Riva's clients send a WAV file as it lies there, header and all."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Header:
    """What a WAV header says."""

    rate_hz: int
    channels: int
    data_at: int
    """Where the samples begin."""


def wav_header(data: bytes) -> Header | None:
    """Return the header that ``data``, the beginning of a stream, starts with; None without one.

    Raises:
        ValueError: A header of something else than 16-bit PCM.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    at, rate_hz, channels = 12, 0, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt " and at + 24 <= len(data):
            kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
            if kind not in (1, 0xFFFE) or bits != 16:
                raise ValueError(f"a WAV of {bits} bits in format {kind}; should be 16-bit PCM")
        if name == b"data":
            return Header(rate_hz, channels, at + 8)
        at += 8 + size + size % 2
    return None
