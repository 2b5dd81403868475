"""What a voice over the agent's own means: an interruption, a backchannel, or nothing yet.

Pure functions over words and times. People say "mm-hm" to be heard listening, not to be let
speak; an agent that stops for it is as rude as one that does not stop for "wait". Backchannel and
stop words after the lists used in Jefferson's and Ward's work on continuers and in LiveKit's and
NeMo's agents.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from voice_agent.turns.settings import TurnSettings

BACKCHANNELS = frozenset(
    "mm mhm mmhm hm hmm hmmm mmm mm-hm mm-hmm uh-huh uhhuh uh huh um ah aha oh ok okay k right"
    " yeah yep yup yes sure good great fine cool nice exactly really i see gotcha got it alright"
    " all true wow so and".split()
)
"""Words that, alone or among themselves, ask the speaker to go on."""

STOP_WORDS = frozenset(
    "stop wait no hold pause actually sorry excuse but hang cancel enough shut nevermind".split()
)
"""Words that stop the agent the moment they are heard."""

_WORD = re.compile(r"[\w'-]+")


class Meaning(Enum):
    """What the voice over the agent's means so far."""

    UNKNOWN = "not enough heard yet"
    BACKCHANNEL = "a continuer, a cough, a noise or the agent's own echo"
    INTERRUPTION = "speech with intent"


def words_of(text: str) -> list[str]:
    """Return the lower-case words of ``text`` without punctuation."""
    return _WORD.findall(text.lower())


def same_words(one: str, other: str) -> bool:
    """Whether two transcripts differ in nothing that matters: case, punctuation, spaces."""
    return words_of(one) == words_of(other)


def is_backchannel(words: Sequence[str]) -> bool:
    """Whether every word is a continuer, and there are few enough to be nothing else."""
    return 0 < len(words) <= 4 and all(word in BACKCHANNELS for word in words)


def intent(words: Sequence[str]) -> list[str]:
    """Return the words that are more than continuers."""
    return [word for word in words if word not in BACKCHANNELS]


def is_echo(heard: str, spoken: str) -> bool:
    """Whether ``heard`` is the agent's own voice come back.

    ``spoken`` is what was played in the last seconds. Every run of two heard words must occur in
    it in order (one word: the word itself), which a caller's own sentence does not do by chance;
    a single missing pair in five is a recognition error.
    """
    own = words_of(spoken)
    words = words_of(heard)
    if not words or not own:
        return False
    if len(words) == 1:
        return words[0] in own and len(words[0]) > 3
    pairs = set(pairwise(own))
    heard_pairs = list(pairwise(words))
    found = sum(pair in pairs for pair in heard_pairs)
    return found >= len(heard_pairs) * 0.8


def meaning(
    words: Sequence[str],
    voice_ms: float,
    silent_ms: float,
    settings: TurnSettings,
    *,
    echo: bool = False,
    all_heard: bool = False,
) -> Meaning:
    """Judge a voice over the agent's.

    ``voice_ms``: how long it lasted so far; ``silent_ms``: how long it has been silent again (0
    while it goes on); ``echo``: its words are the agent's own; ``all_heard``: it is silent and
    recognition has said its last word on it.
    """
    if echo:
        return Meaning.BACKCHANNEL if silent_ms > 0 else Meaning.UNKNOWN
    if any(word in STOP_WORDS for word in words):
        return Meaning.INTERRUPTION
    content = intent(words)
    if len(content) >= settings.stop_words:
        return Meaning.INTERRUPTION
    if voice_ms >= settings.stop_voice_ms and not is_backchannel(words):
        return Meaning.INTERRUPTION
    if silent_ms >= settings.resume_ms or (all_heard and silent_ms > 0):
        return Meaning.INTERRUPTION if content else Meaning.BACKCHANNEL
    return Meaning.UNKNOWN
