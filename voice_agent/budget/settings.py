"""What a pipeline's ``[budget]`` may say; ``docs/budgets.md`` explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from voice_agent.trace.model import BudgetKey

Ms = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Remedy = Literal["filler", "shorten", "fallback", "shed"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Section):
    """Two sliding windows that must both burn: the long one says that it matters, the short one
    that it still goes on (multi-window alerts of Google's SRE Workbook, chapter 5)."""

    long_s: Seconds
    short_s: Seconds
    burn_rate: Annotated[float, Field(gt=0)]
    """How many times faster than allowed turns are missed; 1 spends the budget exactly."""

    @model_validator(mode="after")
    def _short_is_shorter(self) -> Window:
        if self.short_s >= self.long_s:
            raise ValueError("`short_s` must be less than `long_s`")
        return self


class FillerSettings(_Section):
    """``[budget.filler]``: a few words while the answer is late."""

    after_ms: Ms = 700
    """Spoken when nothing of the answer is there this long after the turn was decided."""
    phrases: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "One moment.",
        "Let me see.",
        "Just a second.",
    )
    """Said in turn; each is synthesized once, at the start."""


class ShortenSettings(_Section):
    """``[budget.shorten]``: while turns are being missed, an answer's first clause is shorter."""

    first_clause_max_words: Annotated[int, Field(ge=1)] = 3


class FallbackSettings(_Section):
    """``[budget.fallback]``: when to take ``[llm.fallback]`` or ``[tts.fallback]`` for a turn."""

    llm_after_ms: Ms = 1500
    """No token this long after the language model was asked (and the turn decided)."""
    tts_after_ms: Ms = 1000
    """No sound this long after the language model's first token (and the turn decided)."""


class ShedSettings(_Section):
    """``[budget.shed]``: new callers are refused while turns are being missed."""

    retry_after_s: Seconds = 20
    """When a refused caller is told to try again."""


class BudgetSettings(_Section):
    """``[budget]``: ms each stage of a turn may be waited for; a stage without one may take any."""

    endpoint: Ms | None = None
    """From the end of the voice to the decision that the user has finished."""
    asr_final: Ms | None = None
    """From there until the final transcript has come."""
    llm_first_token: Ms | None = None
    llm_first_clause: Ms | None = None
    """From the first token to the first words that can be spoken."""
    tts_first_audio: Ms | None = None
    transport: Ms | None = None
    """From the first audio to its first sound on its way to the user."""
    voice_to_voice: Ms | None = None
    """From the end of the user's voice to the first sound of the answer."""

    target: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of turns that must keep ``voice_to_voice`` (without one: all of their stages)."""
    windows: Annotated[tuple[Window, ...], Field(min_length=1)] = (
        Window(long_s=300, short_s=30, burn_rate=6),
        Window(long_s=1800, short_s=180, burn_rate=3),
    )
    min_turns: Annotated[int, Field(ge=1)] = 10
    """Fewer turns than this in a long window say nothing about it."""

    on_miss: tuple[Remedy, ...] = ()
    """What is done about it: any of "filler", "shorten", "fallback", "shed"."""
    filler: FillerSettings = FillerSettings()
    shorten: ShortenSettings = ShortenSettings()
    fallback: FallbackSettings = FallbackSettings()
    shed: ShedSettings = ShedSettings()

    def limits(self) -> dict[BudgetKey, float]:
        """Return the budgets that are set, ms by stage, ``voice_to_voice`` among them."""
        limits: dict[BudgetKey, float | None] = {
            "endpoint": self.endpoint,
            "asr_final": self.asr_final,
            "llm_first_token": self.llm_first_token,
            "llm_first_clause": self.llm_first_clause,
            "tts_first_audio": self.tts_first_audio,
            "transport": self.transport,
            "voice_to_voice": self.voice_to_voice,
        }
        return {key: ms for key, ms in limits.items() if ms is not None}
