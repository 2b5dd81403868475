"""What a pipeline's TOML may say, and how the file, the environment and the flags become one.

A key set in ``pipelines/*.toml`` is overridden by the environment
(``VOICE_AGENT__LLM__TEMPERATURE=0.2``) and that by a flag (``--set llm.temperature=0.2``). Values
of both are TOML; what is not valid TOML is taken as a string, so that addresses need no quotes.
Every mistake is found before anything is loaded and named by where it stands, its key, and what
is allowed there. Importing this module is cheap; validating an engine's section imports the engine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_agent.budget.settings import BudgetSettings
from voice_agent.config_errors import ConfigError, Problem, did_you_mean, problems_of
from voice_agent.paths import models_dir, pipelines_dir, shown, weights_dir
from voice_agent.trace.settings import TraceSettings
from voice_agent.transports.realtime_api.settings import RealtimeSettings
from voice_agent.transports.telephony.settings import TelephonySettings
from voice_agent.turns.settings import HistorySettings, TurnSettings, VadSettings

if TYPE_CHECKING:
    from voice_agent.engines import EngineSettings, Stage

ENVIRONMENT_PREFIX = "VOICE_AGENT__"
STAGES: tuple[Stage, ...] = ("asr", "llm", "tts")
WITH_FALLBACK: tuple[Stage, ...] = ("llm", "tts")
FALLBACK = "fallback"
"""``[llm.fallback]`` and ``[tts.fallback]``: the engine for a turn the other one is late in."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionSettings(_Section):
    """``[sessions]``: how many conversations at once, and when one is over."""

    max: int = Field(default=8, ge=1)
    """Conversations at once; further callers are told that all lines are busy."""
    max_per_address: int = Field(default=4, ge=1)
    """Conversations at once from one network address, or one telephone number; callers on this
    machine are not counted."""
    idle_timeout_s: float = Field(default=300.0, gt=0)
    """A conversation ends after this much silence of both sides, seconds."""
    resume_s: float = Field(default=120.0, ge=0)
    """How long a conversation whose connection was lost can be taken up again, seconds."""


class ServerSettings(_Section):
    """``[server]``: where the page and the calls are served."""

    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65535)
    """0 takes any free port."""
    ice_servers: tuple[str, ...] = ()
    """STUN or TURN addresses; none is asked by default: without them a call on this machine or
    this network connects at once."""
    allowed_origins: tuple[str, ...] = ()
    """Pages of other origins (``https://shop.example``) that may start calls here."""


class PipelineFile(_Section):
    """The keys of a pipeline's TOML."""

    description: str = ""
    agent: str
    """The agent's TOML, looked up beside the pipeline's file, then among the shipped ones."""
    persona: Literal["full", "brief"] = "full"
    """Which of the agent's two prompts the language model is told; small models take "brief"."""
    greeting: bool = True
    """The agent speaks first."""
    asr: dict[str, Any]
    llm: dict[str, Any]
    tts: dict[str, Any]
    vad: VadSettings = VadSettings()
    turns: TurnSettings = TurnSettings()
    history: HistorySettings = HistorySettings()
    budget: BudgetSettings = BudgetSettings()
    trace: TraceSettings = TraceSettings()
    sessions: SessionSettings = SessionSettings()
    server: ServerSettings = ServerSettings()
    telephony: TelephonySettings = TelephonySettings()
    realtime: RealtimeSettings = RealtimeSettings()


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine of one stage and its validated settings."""

    engine: str
    settings: EngineSettings


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A validated pipeline: what a conversation is built from."""

    name: str
    """The file's name without ``.toml``."""
    file: Path
    description: str
    agent: Path
    persona: Literal["full", "brief"]
    greeting: bool
    asr: EngineChoice
    llm: EngineChoice
    tts: EngineChoice
    vad: VadSettings
    turns: TurnSettings
    history: HistorySettings
    budget: BudgetSettings
    trace: TraceSettings
    sessions: SessionSettings
    server: ServerSettings
    telephony: TelephonySettings
    realtime: RealtimeSettings
    search_path: tuple[Path, ...]
    """Where relative paths are looked up; goes into ``EngineContext``."""
    llm_fallback: EngineChoice | None = None
    """``[llm.fallback]``, where ``budget.on_miss`` asks for it."""
    tts_fallback: EngineChoice | None = None


def shipped_pipelines() -> dict[str, Path]:
    """Return the shipped pipelines by name."""
    return {path.stem: path for path in sorted(pipelines_dir().glob("*.toml"))}


def find_pipeline(name_or_path: str) -> Path:
    """Return the file of a shipped pipeline's name, or of a path to a TOML of one's own.

    Raises:
        ConfigError: There is no such file.
    """
    shipped = shipped_pipelines()
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if name_or_path in shipped:
        return shipped[name_or_path]
    hint = did_you_mean(name_or_path, shipped)
    raise ConfigError(
        [
            Problem(
                "--pipeline",
                name_or_path,
                f"no such pipeline{hint}; there are: {', '.join(shipped)}, or give a path to a "
                "TOML file of your own",
            )
        ]
    )


def load_pipeline(
    name_or_path: str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Pipeline:
    """Read, override and validate a pipeline.

    Args:
        name_or_path: A shipped pipeline's name, or a path.
        overrides: ``section.key=value`` strings; later ones win.
        environ: The environment; its ``VOICE_AGENT__*`` entries override the file.

    Raises:
        ConfigError: With every problem found, each by its place and key.
    """
    file = find_pipeline(name_or_path)
    tables = _Tables(file)
    for variable, text in sorted((environ or {}).items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            keys = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            tables.override(keys, _value(text), source=variable)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(
                [Problem(f"--set {override}", "", "should be key=value, as in llm.temperature=0.2")]
            )
        tables.override(key.split("."), _value(text), source=f"--set {override}")
    return tables.pipeline()


class _Tables:
    """A pipeline's tables while overrides are laid over them; remembers where each key was set."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._sources: dict[tuple[str, ...], str] = {}
        try:
            self._root = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError([Problem(shown(file), "", f"cannot be read: {error}")]) from error

    def override(self, keys: Sequence[str], value: object, source: str) -> None:
        table: dict[str, Any] = self._root
        for depth, key in enumerate(keys[:-1]):
            if key not in table:
                table[key] = {}
                self._sources[tuple(keys[: depth + 1])] = source
            inner = table[key]
            if not isinstance(inner, dict):
                where = ".".join(keys[: depth + 1])
                raise ConfigError([Problem(source, where, "is a value, not a section")])
            table = inner
        if keys[-1] == "engine" and table.get("engine") != value:
            # The file's other keys were meant for the engine that is being replaced.
            for key in [k for k in table if (*keys[:-1], k) not in self._sources]:
                if key != FALLBACK:
                    del table[key]
        table[keys[-1]] = value
        self._sources[tuple(keys)] = source

    def pipeline(self) -> Pipeline:
        problems: list[Problem] = []
        parsed: PipelineFile | None = None
        try:
            parsed = PipelineFile.model_validate(self._root)
        except ValidationError as error:
            problems += problems_of(error, PipelineFile, (), self._place)
        asr, llm, tts = (self._choice(stage, problems) for stage in STAGES)
        others = self._fallbacks(parsed, problems)
        folders = (
            self._file.resolve().parent,
            pipelines_dir(),
            models_dir(),
            weights_dir(),
            Path.cwd(),
        )
        search_path = tuple(dict.fromkeys(folders))
        agent = self._agent(search_path, problems)
        if problems or not (parsed and asr and llm and tts and agent):
            raise ConfigError(problems)
        return Pipeline(
            name=self._file.stem,
            file=self._file,
            description=parsed.description,
            agent=agent,
            persona=parsed.persona,
            greeting=parsed.greeting,
            asr=asr,
            llm=llm,
            tts=tts,
            llm_fallback=others.get("llm"),
            tts_fallback=others.get("tts"),
            vad=parsed.vad,
            turns=parsed.turns,
            history=parsed.history,
            budget=parsed.budget,
            trace=parsed.trace,
            sessions=parsed.sessions,
            server=parsed.server,
            telephony=parsed.telephony,
            realtime=parsed.realtime,
            search_path=search_path,
        )

    def _place(self, keys: tuple[str, ...]) -> str:
        """Return who set ``keys``: the flag, the variable, or else the file."""
        for depth in range(len(keys), 0, -1):
            if keys[:depth] in self._sources:
                return self._sources[keys[:depth]]
        return shown(self._file)

    def _choice(
        self, stage: Stage, problems: list[Problem], *, fallback: bool = False
    ) -> EngineChoice | None:
        from voice_agent.engines import EngineError, engine_class, engine_names

        keys: tuple[str, ...] = (stage, FALLBACK) if fallback else (stage,)
        table = self._root.get(stage)
        if fallback and isinstance(table, dict):
            table = table.get(FALLBACK)
        if not isinstance(table, dict):
            if fallback and table is not None:
                where, key = self._place(keys), ".".join(keys)
                problems.append(Problem(where, key, "should be a table with an engine"))
            return None  # PipelineFile has said so
        name = table.get("engine")
        place, key = self._place((*keys, "engine")), ".".join((*keys, "engine"))
        names = engine_names(stage)
        if not isinstance(name, str) or name not in names:
            if name is None:
                what = "missing"
            else:
                what = f"no {stage} engine is called {name!r}{did_you_mean(str(name), names)}"
            allowed = f"; should be one of: {', '.join(names)}"
            problems.append(Problem(place, key, what + allowed))
            return None
        try:
            settings_class = engine_class(stage, name).Settings
        except EngineError as error:
            problems.append(Problem(place, key, str(error)))
            return None
        own = {"engine"} if fallback or stage not in WITH_FALLBACK else {"engine", FALLBACK}
        section = {k: v for k, v in table.items() if k not in own}
        try:
            return EngineChoice(name, settings_class.model_validate(section))
        except ValidationError as error:
            problems += problems_of(error, settings_class, keys, self._place)
            return None

    def _fallbacks(
        self, parsed: PipelineFile | None, problems: list[Problem]
    ) -> dict[Stage, EngineChoice]:
        """Return the engines that stand in for others, where ``budget.on_miss`` asks for any."""
        choices = {stage: self._choice(stage, problems, fallback=True) for stage in WITH_FALLBACK}
        if parsed is None or "fallback" not in parsed.budget.on_miss:
            return {}
        if not any(FALLBACK in getattr(parsed, stage) for stage in WITH_FALLBACK):
            what = 'has "fallback", but neither [llm.fallback] nor [tts.fallback] names an engine'
            problems.append(Problem(self._place(("budget", "on_miss")), "budget.on_miss", what))
        return {stage: choice for stage, choice in choices.items() if choice is not None}

    def _agent(self, search_path: Sequence[Path], problems: list[Problem]) -> Path | None:
        name = self._root.get("agent")
        if not isinstance(name, str):
            return None
        path = Path(name).expanduser()
        places = [path] if path.is_absolute() else [folder / path for folder in search_path]
        for place in places:
            if place.is_file():
                return place
        looked = ", ".join(shown(place) for place in places)
        problems.append(
            Problem(self._place(("agent",)), "agent", f"no file {name!r} (looked at {looked})")
        )
        return None


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
