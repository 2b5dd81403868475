"""What a speech or language engine is, and how its name in a pipeline's TOML finds it.

An *engine* is loaded once per process, before the server says it is ready, and holds everything
heavy (models, processes, connection pools). It hands each conversation a *service*: an ordinary
Pipecat ``STTService``, ``LLMService`` or ``TTSService``, cheap to make and to drop, that also
works in anybody else's Pipecat bot. Engines are found through the entry-point groups
``voice_agent.asr``, ``voice_agent.llm`` and ``voice_agent.tts``, so one can be added from outside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor
from pydantic import BaseModel, ConfigDict

Stage = Literal["asr", "llm", "tts"]


class EngineError(RuntimeError):
    """An engine cannot be loaded or has died; the message says what to do about it."""


class EngineSettings(BaseModel):
    """Base of what an engine's TOML section may say beside ``engine``; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine may know about the pipeline it is loaded for."""

    search_path: Sequence[Path]
    """Where a relative path in the engine's section is looked up: the pipeline file's folder,
    then the shipped ``pipelines/`` and ``models/`` folders."""
    vocabulary: Sequence[str] = ()
    """Words and phrases of the agent (menu, names) that recognition should expect."""
    opening: Callable[[], LLMContext] | None = None
    """Returns what every conversation begins with (the persona of today, the greeting, the
    tools), so that a language model can read it beforehand; None when there is none."""

    def find(self, path: str | Path) -> Path:
        """Return the first existing ``path`` on the search path.

        Raises:
            EngineError: Nowhere to be found; the message lists the places looked at.
        """
        path = Path(path).expanduser()
        places = [path] if path.is_absolute() else [folder / path for folder in self.search_path]
        for place in places:
            if place.exists():
                return place
        looked = ", ".join(str(place) for place in places)
        raise EngineError(f"file not found: {path} (looked at {looked})")


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a service may know about the conversation it is made for."""

    session_id: str
    audio_in_hz: int = 16_000
    """Sample rate of the user's audio as the ASR service receives it, Hz."""
    audio_out_hz: int = 48_000
    """Sample rate a TTS service must deliver, Hz: what the transport sends, so that audio is
    resampled once."""


SettingsT = TypeVar("SettingsT", bound=EngineSettings)


class Engine(ABC, Generic[SettingsT]):
    """One engine, loaded once per process; see the module's docstring."""

    Settings: ClassVar[type[EngineSettings]]
    speeds: ClassVar[bool] = False
    """A voice whose services heed ``extra["speed"]`` of their settings: 1.0 is as always."""

    def __init__(self, settings: SettingsT, context: EngineContext) -> None:
        self.settings = settings
        self.context = context

    @abstractmethod
    async def start(self) -> None:
        """Load models and warm up, off the event loop.

        Raises:
            EngineError: A model or a server is missing; the message says what to do.
        """

    def about(self) -> str:
        """Return what a person should know of the engine once it is loaded; may be empty."""
        return ""

    @abstractmethod
    def service(self, session: SessionInfo) -> FrameProcessor:
        """Make the Pipecat service of one conversation; must not block (under 1 ms)."""

    async def stop(self) -> None:
        """Release everything; every service made here is already closed."""
        return None


def engine_names(stage: Stage) -> list[str]:
    """Return the names an engine of this stage may have in a TOML file, sorted."""
    return sorted({entry.name for entry in entry_points(group=f"voice_agent.{stage}")})


def engine_class(stage: Stage, name: str) -> type[Engine[EngineSettings]]:
    """Import the engine called ``name``.

    Raises:
        EngineError: No such engine, or its module cannot be imported.
    """
    for entry in entry_points(group=f"voice_agent.{stage}"):
        if entry.name == name:
            try:
                found: type[Engine[EngineSettings]] = entry.load()
            except ImportError as error:
                raise EngineError(f"{stage} engine {name!r} cannot be imported: {error}") from error
            return found
    raise EngineError(
        f"no {stage} engine is called {name!r}; there are: {', '.join(engine_names(stage))}"
    )
