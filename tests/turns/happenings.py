"""Events in any order, for property tests of whatever follows the turn machine."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.turns.talking import Talk
from voice_agent.turns.events import (
    Audible,
    Bound,
    Called,
    Ended,
    Event,
    Failed,
    Greeting,
    Heard,
    Phrased,
    SoundScore,
    Tag,
    Tick,
    Typed,
    Voiced,
    VoiceStarted,
    VoiceStopped,
    Worded,
)
from voice_agent.turns.state import Remedies

_texts = st.sampled_from(["", "yes", "mm-hm", "wait", "a table for", "what time do you open", "um"])
_tags = st.tuples(st.integers(0, 4), st.integers(0, 8)).map(lambda t: Tag(*t))
_p = st.one_of(st.none(), st.floats(0, 1))
_ms = st.one_of(st.none(), st.floats(0, 3000))
remedies = st.builds(
    Remedies,
    filler_after_ms=_ms,
    words_to_sound_ms=st.floats(0, 300),
    llm_after_ms=_ms,
    tts_after_ms=_ms,
)
_TOLD = {
    "called": Called,
    "worded": Worded,
    "phrased": Phrased,
    "voiced": Voiced,
    "audible": Audible,
    "ended": Ended,
    "failed": Failed,
    "mute": lambda tag: Failed(tag, voice=True),
    "bound": Bound,
}


@st.composite
def happenings(draw: st.DrawFn) -> list[tuple[float, object]]:
    """Draw what happens to a talk: pauses in ms, and kinds for ``event``."""
    kinds = st.one_of(
        st.just("voice"),
        st.just("silence"),
        st.tuples(_texts, st.booleans(), _p, st.booleans()),
        _p.filter(lambda p: p is not None),
        _texts.filter(bool),
        st.sampled_from([*_TOLD, "greeting"]),
        st.tuples(st.sampled_from(list(_TOLD.values())), _tags),
    )
    return draw(st.lists(st.tuples(st.floats(0, 900), kinds), max_size=40))


def event(kind: object, talk: Talk) -> Event:
    """Return the event of a drawn kind, as it stands in this talk."""
    answer = talk.state.answer or talk.state.guess or Tag(99, 99)
    match kind:
        case "voice":
            return VoiceStarted(talk.now - 60)
        case "silence":
            return VoiceStopped(talk.now - 64)
        case "greeting":
            return Greeting() if talk.state.turn == 0 and not talk.record else Tick()
        case str(told) if told in _TOLD:
            return _TOLD[told](answer)
        case str(text):
            return Typed(text)
        case float(p):
            return SoundScore(talk.state.quiet_at, p)
        case (str(text), bool(final), p, bool(echo)):
            return Heard(text, final, p, echo)
        case (made, tag):
            return made(tag)
    raise AssertionError(kind)
