"""``session.update``: what is asked for, what is in force, and what the turn engine makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transports.realtime_api.sides import ABILITIES
from voice_agent.transports.realtime_api import parsing
from voice_agent.transports.realtime_api.refusals import Refused
from voice_agent.transports.realtime_api.session import new_session, turns, updated
from voice_agent.turns.settings import TurnSettings

BASE = TurnSettings()
BEGUN = new_session("sess_1", "test", ABILITIES, 2_000_000_000)


def update(*, spoke: bool = False, **wanted: Any) -> dict[str, Any]:
    parsed = parsing.session({"type": "realtime", **wanted}, "session")
    return updated(BEGUN, parsed, ABILITIES, spoke=spoke)


def refusal(*, spoke: bool = False, **wanted: Any) -> tuple[str, str | None]:
    with pytest.raises(Refused) as refused:
        update(spoke=spoke, **wanted)
    return refused.value.code, refused.value.param


def detection(**wanted: Any) -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": wanted}}}


def test_only_what_is_named_changes() -> None:
    """The rest of the session stays as it is, and the session before it untouched."""
    session = update(instructions="Be brief.")
    assert session == {**BEGUN, "instructions": "Be brief."}
    assert BEGUN["instructions"] == ABILITIES.instructions


def test_instructions_and_tools_can_be_cleared() -> None:
    tool = {"type": "function", "name": "wave"}
    assert update(tools=[tool])["tools"][0]["name"] == "wave"
    session = update(instructions="", tools=[])
    assert (session["instructions"], session["tools"]) == ("", [])


def test_what_makes_no_difference_here_is_accepted_and_shown_not_to_be_in_force() -> None:
    """Clients send these as a matter of course."""
    session = update(
        model="gpt-realtime-2.1",
        tracing="auto",
        truncation="auto",
        reasoning={"effort": "low"},
        parallel_tool_calls=True,
        max_output_tokens="inf",
        audio={"input": {"noise_reduction": {"type": "near_field"}}, "output": {"voice": "marin"}},
    )
    assert session["tracing"] is None
    assert session["truncation"] == "disabled"
    assert session["audio"]["input"]["noise_reduction"] is None
    assert session["audio"]["output"]["voice"] == "marin"
    assert session["model"] == "gpt-realtime-2.1"


@pytest.mark.parametrize(
    ("wanted", "code", "param"),
    [
        ({"max_output_tokens": 100}, "unsupported_parameter", "session.max_output_tokens"),
        ({"prompt": {"id": "p"}}, "unsupported_parameter", "session.prompt"),
        (
            {"include": ["item.input_audio_transcription.logprobs"]},
            "unsupported_parameter",
            "session.include",
        ),
        (
            {"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}},
            "unsupported_parameter",
            "session.truncation",
        ),
        (
            {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]},
            "unsupported_parameter",
            "session.tools[0].type",
        ),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        (
            {"tools": [{"type": "function", "name": "no spaces"}]},
            "invalid_value",
            "session.tools[0].name",
        ),
        (
            {"tools": [{"type": "function", "name": "a", "parameters": "text"}]},
            "invalid_value",
            "session.tools[0].parameters",
        ),
        (
            {"tool_choice": {"type": "function", "name": "nobody"}},
            "invalid_value",
            "session.tool_choice.name",
        ),
        ({"output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
        ({"output_modalities": ["video"]}, "invalid_value", "session.output_modalities[0]"),
        ({"modalities": ["audio"]}, "unknown_parameter", "session.modalities"),
        ({"instructions": 7}, "invalid_type", "session.instructions"),
        (
            {"audio": {"output": {"voice": "nobody"}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
        ({"audio": {"output": {"speed": 3}}}, "invalid_value", "session.audio.output.speed"),
        (
            {"audio": {"input": {"format": {"type": "audio/opus"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            detection(type="server_vad", threshold=2),
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            detection(type="server_vad", idle_timeout_ms=10),
            "invalid_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            detection(type="semantic_vad", threshold=0.5),
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            detection(type="server_vad", model_version="x"),
            "unknown_parameter",
            "session.audio.input.turn_detection.model_version",
        ),
    ],
)
def test_what_a_client_would_miss_is_refused(wanted: dict[str, Any], code: str, param: str) -> None:
    """With the API's code and the field's path."""
    assert refusal(**wanted) == (code, param)


def test_a_voice_that_has_spoken_stays() -> None:
    """The same voice again is no change."""
    other = {"output": {"voice": "nova"}}
    assert refusal(spoke=True, audio=other) == ("cannot_update_voice", "session.audio.output.voice")
    same = {"output": {"voice": ABILITIES.voice}}
    assert update(spoke=True, audio=same)["audio"]["output"]["voice"] == ABILITIES.voice


# ----- the turn engine's terms -----


def test_semantic_vad_is_the_pipelines_own_engine() -> None:
    """Eagerness moves how long it waits, at either end."""

    def waits(eagerness: str) -> tuple[float, float]:
        session = update(**detection(type="semantic_vad", eagerness=eagerness))
        configured = turns(session["audio"]["input"]["turn_detection"], BASE)
        assert configured.decides
        assert configured.answers
        return configured.settings.floor_ms, configured.settings.ceiling_ms

    assert waits("auto") == waits("medium") == (BASE.floor_ms, BASE.ceiling_ms)
    assert waits("high") < waits("auto") < waits("low")


def test_server_vad_waits_a_fixed_silence_and_still_guesses() -> None:
    """500 ms where nothing is said, as the API has it."""
    session = update(**detection(type="server_vad"))
    settings = turns(session["audio"]["input"]["turn_detection"], BASE).settings
    assert settings.floor_ms == settings.ceiling_ms == settings.no_words_ms == 500
    assert settings.speculate
    assert not settings.sound_model


def test_whether_turns_are_answered_and_interrupt_is_the_clients_choice() -> None:
    session = update(
        **detection(type="semantic_vad", create_response=False, interrupt_response=False)
    )
    configured = turns(session["audio"]["input"]["turn_detection"], BASE)
    assert configured.decides
    assert not configured.answers
    assert not configured.settings.barge_in


def test_without_turn_detection_nothing_is_decided_here() -> None:
    configured = turns(None, BASE)
    assert (configured.decides, configured.answers) == (False, False)
    assert not configured.settings.barge_in
