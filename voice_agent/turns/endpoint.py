"""How long to wait: evidence that the user has finished, as the silence it still asks for.

Sound alone cannot tell a phrase boundary from an end, however it is thresholded; words can, but
not for every voice and every recogniser. So each gives a probability, and what comes out is not a
verdict but a silence: complete words and sound ask for the floor, incomplete words for the
ceiling, and everything between for something between, re-read whenever a word or a score comes.
"""

from __future__ import annotations

from math import exp, log

from voice_agent.turns.settings import TurnSettings

INCOMPLETE = 0.2
"""Words below this are incomplete, and then the sound is not listened to: people often drop their
voice at a pause they mean to talk on from."""
_GAMMA = 1.5
"""Shape of the way from floor to ceiling when only the sound can tell."""


def _logit(p: float) -> float:
    p = min(max(p, 0.01), 0.99)
    return log(p / (1 - p))


def end_probability(
    words_p: float | None, sound_p: float | None, settings: TurnSettings
) -> float | None:
    """Fuse what words and sound say; None when neither says anything."""
    if words_p is None:
        return sound_p
    if sound_p is None or words_p < INCOMPLETE:
        return words_p
    weight = settings.words_weight
    fused = weight * _logit(words_p) + (1 - weight) * _logit(sound_p)
    return 1 / (1 + exp(-fused))


def required_silence_ms(
    words_p: float | None, sound_p: float | None, settings: TurnSettings
) -> float:
    """Return the silence, ms, after which the turn is over, given what is known now.

    Between ``floor_ms`` and ``ceiling_ms``, lower the more complete words and sound are; without
    words (``words_p`` None) only the sound can tell, between ``no_words_floor_ms`` and
    ``no_words_ms``.
    """
    if words_p is None:
        shortest, longest = settings.no_words_floor_ms, settings.no_words_ms
    else:
        shortest, longest = settings.floor_ms, settings.ceiling_ms
    longest = max(shortest, longest)
    p = end_probability(words_p, sound_p, settings)
    if p is None:
        return longest
    if words_p is None:
        incomplete = float((1 - min(max(p, 0.0), 1.0)) ** _GAMMA)
    else:
        incomplete = 1 / (1 + exp((p - settings.end_midpoint) / settings.end_width))
    return shortest + (longest - shortest) * incomplete
