"""What the turn machine is told and what it answers: plain frozen data, times in ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from voice_agent.turns.settings import TurnSettings


class Tag(NamedTuple):
    """Names an answer: the turn it belongs to and the revision of the words it answers."""

    turn: int
    revision: int


# ----- what happened -----


@dataclass(frozen=True, slots=True)
class VoiceStarted:
    """The user's voice was heard; ``at`` is its onset by the media clock."""

    at: float


@dataclass(frozen=True, slots=True)
class VoiceStopped:
    """The voice fell silent; ``at`` is its last sample by the media clock."""

    at: float


@dataclass(frozen=True, slots=True)
class Heard:
    """Recognition heard ``text`` since its last final; a final one closes that utterance."""

    text: str
    final: bool
    end_p: float | None = None
    """How probable it is that the turn ends after all words so far; None: words cannot tell."""
    echo: bool = False
    """The words are the agent's own, come back."""


@dataclass(frozen=True, slots=True)
class SoundScore:
    """The sound model's probability that the turn has ended, for the silence it was asked at."""

    silence_began: float
    end_p: float


@dataclass(frozen=True, slots=True)
class Typed:
    """A turn that needs no deciding: typed text or a key pressed on a phone."""

    text: str
    """Empty: nothing new was said, and what is remembered is to be answered."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The conversation begins with an answer nobody asked for."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The client says that the user has finished, whatever was heard."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """The client wants what the user has said since the last turn forgotten."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """The client wants no more of the answer, and nothing in its place."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The client has other wishes from now on; see ``State.decides`` and ``State.answers``."""

    settings: TurnSettings
    decides: bool = True
    answers: bool = True


@dataclass(frozen=True, slots=True)
class Called:
    """The language model asks for a tool before it says anything."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Worded:
    """The first words of the answer have come from the language model."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Phrased:
    """The first words that can be spoken have been given to the voice."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Voiced:
    """The first audio of the answer is there, heard or held."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Audible:
    """The first sound of the answer, or of its filler, has left for the user."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer has been played to its end."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer will not come: an engine failed or had nothing to say."""

    tag: Tag
    voice: bool = False
    """It has words, and it was the voice that failed."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The answer has done something that cannot be undone (a tool with side effects ran)."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Strained:
    """The machine is too busy to keep time: a timer came late."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = (
    VoiceStarted
    | VoiceStopped
    | Heard
    | SoundScore
    | Typed
    | Greeting
    | Committed
    | Cleared
    | Silenced
    | Configured
    | Called
    | Worded
    | Phrased
    | Voiced
    | Audible
    | Ended
    | Failed
    | Bound
    | Strained
    | Tick
)

# ----- what to do -----


@dataclass(frozen=True, slots=True)
class AskSound:
    """Ask the sound model about the silence that began at ``silence_began``."""

    silence_began: float


@dataclass(frozen=True, slots=True)
class Finalize:
    """Ask recognition for a final transcript of everything heard so far."""


@dataclass(frozen=True, slots=True)
class Greet:
    """Say the greeting, as this answer."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Speculate:
    """Start an answer to ``text``; nothing of it may be heard or remembered yet."""

    tag: Tag
    text: str
    fallback: bool = False
    """By the other language model: the usual one is late or has failed."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget the answer: nothing of it was heard."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Release:
    """The turn is decided: remember ``text`` as the user's words and let the answer be heard."""

    tag: Tag
    text: str
    user_stopped: float
    """Last sample of the user's voice, or when the text was typed."""


@dataclass(frozen=True, slots=True)
class Remember:
    """The turn is decided and nobody is to answer it yet: remember ``text`` as the user's words."""

    turn: int
    text: str
    user_stopped: float
    """As in ``Release``."""


@dataclass(frozen=True, slots=True)
class Retract:
    """The user goes on before anything was heard: hold the answer again, forget the turn."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Fill:
    """The answer is late: say the filler of this number, as its beginning."""

    tag: Tag
    number: int


@dataclass(frozen=True, slots=True)
class Carry:
    """What was heard of ``tag`` (a filler) becomes the beginning of ``again``; the rest of it is
    given up."""

    tag: Tag
    again: Tag


@dataclass(frozen=True, slots=True)
class Revoice:
    """Let the other voice say the words of the answer: the usual one is late or has failed."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Correct:
    """The turn's final transcript came after the answer was heard: remember these words."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Duck:
    """Lower the agent's voice: the user makes a sound and it is not known yet why."""


@dataclass(frozen=True, slots=True)
class Hush:
    """Pause the agent's voice: it looks like an interruption, and is not known to be one yet."""


@dataclass(frozen=True, slots=True)
class Unduck:
    """Raise the agent's voice again, or let it go on: it was a backchannel or a noise."""

    backchannel: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Be silent at once; remember of the answer what was heard."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class Resume:
    """Nothing was meant by the interruption: go on where the answer stopped."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class NoTurn:
    """There was a voice but no words: no turn."""


@dataclass(frozen=True, slots=True)
class Apologise:
    """The answer will not come; say so, as the answer to the same turn."""

    tag: Tag


Action = (
    AskSound
    | Finalize
    | Greet
    | Speculate
    | Drop
    | Release
    | Remember
    | Retract
    | Fill
    | Carry
    | Revoice
    | Correct
    | Duck
    | Hush
    | Unduck
    | Stop
    | Resume
    | NoTurn
    | Apologise
)
