"""Sounds people make and rooms add that are not words, made of filtered noise. Pure; seeded."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt

from voice_agent.load.wav import HZ, Samples

Wave = npt.NDArray[np.float64]


def band(wave: Wave, low_hz: float, high_hz: float) -> Wave:
    """Keep the frequencies in between, with soft edges."""
    spectrum = np.fft.rfft(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / HZ)
    edge = 0.25
    gain = 1 / (1 + (low_hz / np.maximum(hertz, 1e-3)) ** (2 / edge))
    gain *= 1 / (1 + (hertz / high_hz) ** (2 / edge))
    return np.asarray(np.fft.irfft(spectrum * gain, len(wave)), dtype=np.float64)


def _burst(rng: np.random.Generator, ms: float, low: float, high: float, attack_ms: float) -> Wave:
    """Noise that rises and dies away."""
    count = int(HZ * ms / 1000)
    time_ms = np.arange(count) * 1000 / HZ
    envelope = np.minimum(time_ms / attack_ms, 1.0) * np.exp(-3.5 * time_ms / ms)
    return np.asarray(band(rng.normal(size=count), low, high) * envelope, dtype=np.float64)


def _in_time(length_ms: float, parts: list[tuple[float, float, Wave]]) -> Wave:
    """Mix (start in ms, gain, sound) over silence; every sound is brought to the same peak."""
    mixed = np.zeros(int(HZ * length_ms / 1000))
    for start_ms, gain, part in parts:
        start = int(HZ * start_ms / 1000)
        part = part[: len(mixed) - start]
        mixed[start : start + len(part)] += gain * part / np.abs(part).max()
    return mixed


def noise(name: str) -> Samples:
    """Return one of :data:`voice_agent.load.script.NOISES`, 48 kHz mono, peak -9 dBFS.

    Raises:
        ValueError: There is no such noise.
    """
    rng = np.random.default_rng(crc32(name.encode()))

    def burst(ms: float, low: float, high: float, attack_ms: float = 3.0) -> Wave:
        return _burst(rng, ms, low, high, attack_ms)

    match name:
        case "cough":
            wave = _in_time(
                700, [(20, 1.0, burst(220, 250, 3200)), (330, 0.7, burst(260, 250, 2600))]
            )
        case "click":
            wave = _in_time(80, [(20, 1.0, burst(12, 1500, 9000, 0.3))])
        case "keyboard":
            strokes = [
                (
                    20 + 130 * n + 40 * rng.random(),
                    0.4 + 0.6 * rng.random(),
                    burst(25, 900, 7000, 0.4),
                )
                for n in range(9)
            ]
            wave = _in_time(1400, strokes)
        case "knock":
            wave = _in_time(700, [(20 + 210 * n, 1.0, burst(90, 80, 700, 1.0)) for n in range(3)])
        case "throat":
            rattle = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 38 * np.arange(int(HZ * 0.45)) / HZ))
            wave = _in_time(520, [(20, 1.0, burst(450, 180, 1800, 40)[: len(rattle)] * rattle)])
        case "breath":
            wave = _in_time(700, [(20, 1.0, burst(650, 500, 5000, 250))])
        case "door":
            wave = _in_time(
                600, [(20, 1.0, burst(400, 40, 350, 2)), (60, 0.4, burst(60, 300, 4000))]
            )
        case "rustle":
            crackle = [
                (20 + 600 * rng.random(), 0.2 + 0.8 * rng.random(), burst(30, 2000, 10000, 2))
                for _ in range(25)
            ]
            wave = _in_time(700, crackle)
        case _:
            raise ValueError(f"no noise is called {name!r}")
    wave *= 10 ** (-9 / 20) / np.abs(wave).max()
    return np.round(wave * 32767).astype(np.int16)
