"""What a client has asked for, and what is in force: ``session.update``, in the engine's terms too.

The effective session is plain JSON as ``session.created`` shows it. What a client asks for and this
server has no use for (tracing, noise reduction, the name of a transcription model, ...) does no
harm and is accepted; what it would miss is refused, and then nothing of the update is applied.
Pure.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

from openai.types import realtime as api

from voice_agent.transports.realtime_api.refusals import (
    Refused,
    invalid,
    missing,
    not_one_of,
    unsupported,
)
from voice_agent.turns.events import Configured
from voice_agent.turns.settings import TurnSettings

API_VOICES = frozenset(
    "alloy ash ballad coral echo sage shimmer verse marin cedar".split()  # of the API itself
)
PCM = {"type": "audio/pcm", "rate": 24000}
SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
    "idle_timeout_ms": None,
}
SEMANTIC_VAD = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
MANUAL_FINAL_WAIT_MS = 30_000.0
"""A turn that the client ends waits so long for its words: it may have been sent at once."""
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

Session = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the pipeline behind a session can do."""

    instructions: str
    """The agent's own."""
    voice: str
    """The name of the pipeline's own voice."""
    voices: frozenset[str] = frozenset()
    """Further voices a client may name."""
    speed: bool = False
    """The voice can speak faster and slower."""


def new_session(session_id: str, model: str, abilities: Abilities, expires_at: int) -> Session:
    """Return a session in which nothing was asked for yet."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": abilities.instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "disabled",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": dict(PCM),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(SEMANTIC_VAD),
            },
            "output": {"format": dict(PCM), "voice": abilities.voice, "speed": 1.0},
        },
    }


def updated(
    session: Session,
    wanted: api.RealtimeSessionCreateRequest,
    abilities: Abilities,
    *,
    spoke: bool,
) -> Session:
    """Return ``session`` with the fields that ``wanted`` sets; raises Refused.

    ``spoke``: a response with audio was sent, so that the voice is settled.
    """
    session = copy.deepcopy(session)
    asked = wanted.model_dump(mode="json", exclude_unset=True)
    for refused, what in (("prompt", "Stored prompts are"), ("include", "Log probabilities are")):
        if asked.get(refused):
            raise unsupported(f"session.{refused}", what)
    if asked.get("max_output_tokens", "inf") not in ("inf", None):
        raise unsupported("session.max_output_tokens", "A bound on output tokens is")
    if not isinstance(asked.get("truncation", "auto"), str | None):
        raise unsupported("session.truncation", "Truncation by retention ratio is")
    if "output_modalities" in asked:
        session["output_modalities"] = modalities(asked["output_modalities"], "session")
    for name in ("instructions", "model"):
        if asked.get(name) is not None:
            session[name] = asked[name]
    if "tools" in asked:
        session["tools"] = tools(asked["tools"] or [], "session.tools")
    if asked.get("tool_choice") is not None:
        session["tool_choice"] = asked["tool_choice"]
    tool_choice(session["tool_choice"], session["tools"], "session.tool_choice")
    audio = asked.get("audio") or {}
    _input(session["audio"]["input"], audio.get("input") or {})
    output = audio.get("output") or {}
    _output(session["audio"]["output"], output, abilities, spoke=spoke)
    return session


def modalities(wanted: Any, at: str) -> list[str]:
    """Return ``output_modalities``; raises Refused."""
    if wanted in (["audio"], ["text"]):
        return list(wanted)
    message = f"Invalid modalities: {wanted}. Supported combinations are: ['text'] and ['audio']."
    raise Refused("invalid_value", message, f"{at}.output_modalities")


def tools(wanted: list[dict[str, Any]], at: str) -> list[dict[str, Any]]:
    """Return the functions a client offers; raises Refused."""
    checked: list[dict[str, Any]] = []
    for index, tool in enumerate(wanted):
        place = f"{at}[{index}]"
        if tool.get("type") == "mcp":
            raise unsupported(f"{place}.type", "Hosted MCP tools are")
        if tool.get("type") != "function":
            raise not_one_of(f"{place}.type", tool.get("type"), ["function"])
        name = tool.get("name")
        if name is None:
            raise missing(f"{place}.name")
        if not _TOOL_NAME.fullmatch(name) or any(name == each["name"] for each in checked):
            raise invalid(f"{place}.name", "must be unique, of at most 64 letters, digits, _ or -")
        parameters = tool.get("parameters") or {"type": "object", "properties": {}}
        if not isinstance(parameters, dict) or not isinstance(
            parameters.get("properties", {}), dict
        ):
            raise invalid(f"{place}.parameters", "must be the JSON schema of an object")
        checked.append({**tool, "parameters": parameters})
    return checked


def tool_choice(wanted: Any, offered: list[dict[str, Any]], at: str) -> Any:
    """Return a tool choice if it can be kept; raises Refused."""
    if isinstance(wanted, dict):
        if wanted.get("type") != "function":
            raise unsupported(f"{at}.type", "Hosted MCP tools are")
        if all(wanted.get("name") != tool["name"] for tool in offered):
            raise invalid(f"{at}.name", "no tool of this session has this name")
    return wanted


def voice(wanted: Any, abilities: Abilities, at: str) -> str:
    """Return a voice's name; raises Refused."""
    name = wanted.get("id") if isinstance(wanted, dict) else wanted
    if name == abilities.voice or name in abilities.voices or name in API_VOICES:
        return str(name)
    raise not_one_of(at, name, sorted({abilities.voice, *abilities.voices, *API_VOICES}))


def audio_format(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return an audio format with its rate, where it has more than one."""
    return dict(PCM) if wanted.get("type", "audio/pcm") == "audio/pcm" else {"type": wanted["type"]}


def _input(session: dict[str, Any], asked: dict[str, Any]) -> None:
    if asked.get("format") is not None:
        session["format"] = audio_format(asked["format"])
    if "transcription" in asked:
        session["transcription"] = asked["transcription"]
    if "turn_detection" in asked:
        session["turn_detection"] = _turn_detection(asked["turn_detection"])


def _turn_detection(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    at = "session.audio.input.turn_detection"
    defaults = SERVER_VAD if asked["type"] == "server_vad" else SEMANTIC_VAD
    given = {name: value for name, value in asked.items() if value is not None}
    if unused := sorted(given.keys() - defaults.keys()):
        raise Refused("unknown_parameter", f"Unknown parameter: '{at}.{unused[0]}'.", at)
    detection = {**defaults, **given}
    bounds = {
        "threshold": (0, 1),
        "prefix_padding_ms": (0, 5000),
        "silence_duration_ms": (0, 10_000),
    }
    for name, (least, most) in bounds.items():
        if name in given and not least <= given[name] <= most:
            raise invalid(f"{at}.{name}", f"must be between {least} and {most}")
    idle = given.get("idle_timeout_ms")
    if idle is not None and not 5000 <= idle <= 30_000:
        raise invalid(f"{at}.idle_timeout_ms", "must be between 5000 and 30000")
    return detection


def _output(
    session: dict[str, Any], asked: dict[str, Any], abilities: Abilities, *, spoke: bool
) -> None:
    if asked.get("format") is not None:
        session["format"] = audio_format(asked["format"])
    if asked.get("voice") is not None:
        name = voice(asked["voice"], abilities, "session.audio.output.voice")
        if spoke and name != session["voice"]:
            raise Refused(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        session["voice"] = name
    if asked.get("speed") is not None:
        at = "session.audio.output.speed"
        if not 0.25 <= asked["speed"] <= 1.5:
            raise invalid(at, "must be between 0.25 and 1.5")
        if asked["speed"] != 1.0 and not abilities.speed:
            raise unsupported(at, "With this pipeline's voice, another speed is")
        session["speed"] = asked["speed"]


# ----- for the turn engine -----


def turns(detection: dict[str, Any] | None, base: TurnSettings) -> Configured:
    """Return turn detection in the turn engine's terms; ``base`` are the pipeline's settings.

    ``semantic_vad`` is the engine as the pipeline sets it; eagerness moves its patience.
    ``server_vad`` waits a fixed silence, whatever was said; the answer is still begun on a guess.
    Without turn detection only the client ends a turn, and only the client asks for an answer.
    """
    if detection is None:
        manual = {"barge_in": False, "final_wait_ms": MANUAL_FINAL_WAIT_MS, "speculate": False}
        return Configured(base.model_copy(update=manual), decides=False, answers=False)
    changes: dict[str, Any] = {"barge_in": detection["interrupt_response"]}
    if detection["type"] == "server_vad":
        waited = float(detection["silence_duration_ms"])
        names = ("floor_ms", "ceiling_ms", "no_words_floor_ms", "no_words_ms")
        changes |= dict.fromkeys(names, waited)
        changes |= {"sound_model": False, "finalize_ms": min(base.finalize_ms, waited)}
    else:
        patience = {"low": 2.5, "high": 0.65}.get(detection["eagerness"], 1.0)
        names = ("floor_ms", "ceiling_ms", "no_words_floor_ms", "no_words_ms")
        changes |= {name: getattr(base, name) * patience for name in names}
    return Configured(base.model_copy(update=changes), answers=bool(detection["create_response"]))
