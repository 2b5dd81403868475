"""What a pipeline's ``[vad]``, ``[turns]`` and ``[history]`` may say; every time is in ms."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Ms = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class VadSettings(BaseModel):
    """``[vad]``: when a sound counts as voice (Silero, 32 ms windows)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: Probability = 0.5
    """Probability at which a window counts as voice."""
    release_threshold: Probability = 0.35
    """Probability below which voice has fallen silent; lower than ``threshold`` so that one
    doubtful window does not end a word."""
    start_ms: Ms = 32
    """Voice must last this long before it is voice. One window opens a turn and ducks the agent;
    a click that gets so far costs nothing, since neither is heard or remembered."""
    stop_ms: Ms = 30
    """Silence must last this long before the voice has stopped; the turn machine waits on."""
    preroll_ms: Ms = 600
    """Audio before the onset that recognition is given: first words are never cut."""


class HistorySettings(BaseModel):
    """``[history]``: how much of a long conversation the language model is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    turns: int = Field(default=0, ge=0)
    """When there are more, the oldest are taken out; 0 tells all of them, as far as they fit."""
    keep: int = Field(default=0, ge=0)
    """How many are left then; 0 is half of ``turns``. Far fewer than ``turns``, so that the prompt
    a server still knows changes its beginning seldom."""
    summary: bool = False
    """The language model sums up what is taken out, between two turns; otherwise it is forgotten.
    Not for small models."""

    @property
    def left(self) -> int:
        """How many turns are left when the oldest are taken out."""
        return min(self.keep or self.turns // 2, self.turns)


class TurnSettings(BaseModel):
    """``[turns]``: how long to wait for a speaker, and when to yield to one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Deciding that the user has finished.
    floor_ms: Ms = 130
    """Silence that is always waited, however complete words and sound are."""
    ceiling_ms: Ms = 1200
    """Silence after which the turn is over, whatever the evidence."""
    no_words_floor_ms: Ms = 250
    """Silence always waited when there are no words to go by: sound alone takes a phrase boundary
    for an end more often than not."""
    no_words_ms: Ms = 700
    """Silence waited at most when there are no words to go by."""
    end_midpoint: Probability = 0.33
    """How probable an end must be for half of the way from floor to ceiling to be waited. Words
    that cannot end a turn score under 0.2, those that may go on 0.3 to 0.6."""
    end_width: Annotated[float, Field(gt=0, le=1)] = 0.065
    """How gradual the way is: at one width above the midpoint a quarter of it is waited."""
    words_weight: Probability = 0.8
    """Weight of the words against the sound, in log-odds."""
    sound_model: bool = True
    """Ask Smart Turn. It was trained on people; synthetic voices are noise to it."""
    sound_asks_ms: tuple[float, ...] = (50, 250, 500, 800)
    """Silences at which the sound is asked, again as silence grows."""
    finalize_ms: Ms = 30
    """Silence after which the final transcript is asked for when the words look complete;
    otherwise when the turn is decided."""
    finalize_eagerly: bool = False
    """Ask for it at ``finalize_ms`` even when the words look incomplete: the last word may be what
    is missing. For recognisers that lag behind and lose nothing by a final."""
    final_wait_ms: Ms = 250
    """How long a decided turn waits for that final transcript before it takes the partial."""
    max_turn_ms: Ms = 60_000
    """A turn is decided after this long even if the voice never stops."""

    # Starting the answer on a guess.
    speculate: bool = True
    speculate_silence_ms: Ms = 50
    """Silence at which an answer is started on what was heard so far."""
    speculate_stable_ms: Ms = 280
    """Words unchanged for this long, and looking complete, start an answer before any silence."""
    speculate_min_p: Probability = 0.6
    """How complete words must look for that."""
    speculations_max: Annotated[int, Field(ge=0)] = 6
    """Answers started per turn at most; the decision itself may always start one."""
    speculate_min_hit_rate: Probability = 0.25
    """Below this share of right guesses an answer is started only when the turn is decided."""

    # Yielding to the user.
    barge_in: bool = True
    duck_db: Annotated[float, Field(le=0)] = -18.0
    """Level of the agent's voice while it is not yet known what the user wants."""
    hush_voice_ms: Ms = 325
    """Voice over the agent's this long pauses it, unless its words are a backchannel; it goes on
    from the word it was at as soon as nothing seems to be meant."""
    stop_voice_ms: Ms = 650
    """Voice over the agent's this long is an interruption, unless its words are a backchannel."""
    stop_words: Annotated[int, Field(ge=1)] = 2
    """Words, not backchannels and not the agent's own, that make an interruption."""
    resume_ms: Ms = 250
    """Silence after a noise until the agent speaks up again, if recognition has not said sooner
    that there were no words in it."""

    # Never leaving anyone waiting.
    answer_timeout_ms: Ms = 8000
    """No sound of an answer for this long: it is asked for once more, then apologised for."""
