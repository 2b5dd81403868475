"""From a pipeline's ``[budget]`` to what the turn machine may do about a late answer."""

from __future__ import annotations

from voice_agent.budget.settings import BudgetSettings
from voice_agent.turns.state import Remedies

WORDS_TO_SOUND_MS = 100.0
"""How long each stage from an answer's first words to its sound may take where no budget says."""


def remedies(
    budget: BudgetSettings, *, fillers: bool, other_llm: bool, other_tts: bool
) -> Remedies:
    """Return what ``on_miss`` asks for; fillers and other engines only where there are any."""
    limits = budget.limits()
    words_to_sound_ms = sum(
        limits.get(stage, WORDS_TO_SOUND_MS) for stage in ("llm_first_clause", "tts_first_audio")
    )
    filler = budget.filler if "filler" in budget.on_miss else None
    fallback = budget.fallback if "fallback" in budget.on_miss else None
    return Remedies(
        filler_after_ms=filler.after_ms if filler and fillers else None,
        words_to_sound_ms=words_to_sound_ms,
        llm_after_ms=fallback.llm_after_ms if fallback and other_llm else None,
        tts_after_ms=fallback.tts_after_ms if fallback and other_tts else None,
    )
