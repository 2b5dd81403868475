"""What a simulated caller does in a call: a TOML file of turns, thoughts, interruptions and an end.

name = "booking"

[vary]                        # drawn anew for every call; {people} in a text stands for one
people = ["two", "four"]

[[turn]]
say = "I would like to book a table for {people} people tomorrow at seven."
think_s = [0.5, 1.5]          # from the end of the agent's answer to this
expect = "booked|table"       # the answer's words, a regular expression

[[turn]]
say = "Wait, I meant Friday."
over = "barge-in"             # over the agent's voice; or "backchannel"
after_s = 0.8                 # from the answer's first sound

[[turn]]
say = "Thank you."
hang_up_after_s = 0.5         # hang up in the middle of the answer

[success]
said = "booked"               # somewhere in what the agent said
booked = true                 # or, where the server's book can be read: a table is booked
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from voice_agent.load.errors import ScenarioError
from voice_agent.paths import scenarios_dir

Seconds = Annotated[float, Field(ge=0, le=120)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    return value


class ScenarioTurn(_Table):
    """One thing the caller says."""

    say: str = Field(min_length=1)
    think_s: tuple[Seconds, Seconds] = (0.4, 1.2)
    """At least and at most this long from the end of the agent's answer to this."""
    over: Literal["", "backchannel", "barge-in"] = ""
    """Say it over the answer to the turn before."""
    after_s: Seconds = 0.8
    """For ``over``: from the first sound of that answer."""
    expect: str = ""
    hang_up_after_s: Seconds | None = None

    _check = field_validator("expect")(_pattern)


class Success(_Table):
    """When the caller got what it called for."""

    said: str = ""
    booked: bool = False
    """There is a table in the restaurant's book; asked where the book can be read, instead of
    ``said``."""

    _check = field_validator("said")(_pattern)


class Scenario(_Table):
    """A scenario; see the module's docstring."""

    name: str = Field(min_length=1)
    description: str = ""
    greeting: bool = True
    """Hear the agent's greeting out before the first turn."""
    vary: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    turn: tuple[ScenarioTurn, ...] = Field(min_length=1)
    success: Success = Success()

    @model_validator(mode="after")
    def _sound(self) -> Scenario:
        if self.turn[0].over:
            raise ValueError("the first turn cannot be said over an answer: there is none yet")
        empty = [name for name, values in self.vary.items() if not values]
        if empty:
            raise ValueError(f"vary.{empty[0]} has no values to draw from")
        for turn in self.turn:
            unknown = [name for name in re.findall(r"{(\w+)}", turn.say) if name not in self.vary]
            if unknown:
                raise ValueError(f"{{{unknown[0]}}} in {turn.say!r} is not in [vary]")
        return self

    def drawn(self, dice: random.Random) -> tuple[str, ...]:
        """Return what one caller says, turn by turn, with a value drawn for every variable."""
        values = {name: dice.choice(options) for name, options in self.vary.items()}
        return tuple(filled(turn.say, values) for turn in self.turn)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Put the values where their names stand in braces."""
    return re.sub(r"{(\w+)}", lambda found: values.get(found[1], found[0]), text)


def read_scenario(name_or_path: str) -> Scenario:
    """Read a shipped scenario by its name, or a TOML of one's own by its path.

    Raises:
        ScenarioError: There is none, or something in it is wrong.
    """
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        shipped = {each.stem: each for each in sorted(scenarios_dir().glob("*.toml"))}
        if name_or_path not in shipped:
            raise ScenarioError(
                f"no scenario {name_or_path!r}; there are: {', '.join(shipped)}, or give a path "
                "to a TOML file of your own"
            )
        path = shipped[name_or_path]
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"{path}: {key}: {what}" if key else f"{path}: {what}") from error
