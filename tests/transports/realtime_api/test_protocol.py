"""Whatever comes, in any order: the protocol without a network breaks on nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.realtime_api.sides import Sides
from voice_agent.transports.realtime_api.outputs import Hear
from voice_agent.turns.events import (
    Drop,
    NoTurn,
    Release,
    Remember,
    Retract,
    Silenced,
    Stop,
    Tag,
    Tick,
    VoiceStarted,
)
from voice_agent.turns.state import Agent, User

# ----- whatever comes -----

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=20)
)
_json = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
_known = {
    "item_id": st.sampled_from(["item_1", "item_2", "x"]) | _json,
    "audio": st.sampled_from(["", "AAAA", "!!"]) | _json,
    "audio_end_ms": st.integers(-5, 5000) | _json,
    "content_index": st.integers(-1, 2) | _json,
    "previous_item_id": st.sampled_from(["root", "item_1", None]) | _json,
    "response_id": st.sampled_from(["resp_1", None]) | _json,
    "session": st.fixed_dictionaries(
        {"type": st.sampled_from(["realtime", "transcription"])},
        optional={
            "instructions": _json,
            "tools": _json,
            "tool_choice": _json,
            "output_modalities": st.sampled_from([["audio"], ["text"], [], ["audio", "text"]]),
            "audio": st.fixed_dictionaries(
                {},
                optional={
                    "input": st.fixed_dictionaries(
                        {},
                        optional={
                            "turn_detection": st.sampled_from(
                                [None, {"type": "server_vad"}, {"type": "semantic_vad"}, {}]
                            )
                            | _json,
                            "format": st.sampled_from([{"type": "audio/pcmu"}, {}]) | _json,
                            "transcription": st.sampled_from([None, {}]) | _json,
                        },
                    ),
                    "output": _json,
                },
            ),
        },
    )
    | _json,
    "item": st.fixed_dictionaries(
        {"type": st.sampled_from(["message", "function_call", "function_call_output", "mcp_call"])},
        optional={
            "role": st.sampled_from(["user", "assistant", "system", "robot"]),
            "content": st.lists(
                st.fixed_dictionaries(
                    {"type": st.sampled_from(["input_text", "output_text", "input_audio"])},
                    optional={"text": _scalars, "transcript": _scalars},
                ),
                max_size=2,
            )
            | _json,
            "call_id": _scalars,
            "output": _scalars,
            "name": _scalars,
            "arguments": _scalars,
            "id": _scalars,
        },
    )
    | _json,
    "response": st.fixed_dictionaries(
        {},
        optional={
            "conversation": st.sampled_from(["auto", "none"]) | _json,
            "output_modalities": st.sampled_from([["text"], ["audio"]]) | _json,
            "input": _json,
            "metadata": _json,
            "tools": _json,
        },
    )
    | _json,
    "event_id": _scalars,
}
_kinds = st.sampled_from(
    [
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "conversation.item.create",
        "conversation.item.retrieve",
        "conversation.item.delete",
        "conversation.item.truncate",
        "response.create",
        "response.cancel",
        "output_audio_buffer.clear",
        "transcription_session.update",
    ]
)
_messages = st.fixed_dictionaries({"type": _kinds | _json}, optional=_known) | st.dictionaries(
    st.text(max_size=8), _json, max_size=4
)
_decisions = st.sampled_from(
    ["voice", "release", "retract", "stop", "played", "words", "no turn", "remember", "drop"]
)


@settings(max_examples=250, deadline=None)
@given(st.lists(_messages | _decisions, max_size=14))
def test_no_event_breaks_anything_whatever_the_engine_does_meanwhile(
    happenings: list[dict[str, Any] | str],
) -> None:
    """Every event is carried out or answered by one error; responses open and close in pairs."""
    sides = Sides()
    turn = 0
    for happening in happenings:
        if isinstance(happening, dict):
            events = sides._note(sides.protocol.receive(happening))
            errors = [event for event in events if event["type"] == "error"]
            assert len(errors) <= 1
            for each in errors:
                assert each["error"]["code"]
                assert each["error"]["message"]
                sent = happening.get("event_id")
                assert each["error"]["event_id"] == (sent if isinstance(sent, str) else None)
            continue
        response = sides.talk.response
        tag = response.tag if response is not None and response.tag is not None else Tag(turn, turn)
        match happening:
            case "voice":
                sides.decide(VoiceStarted(2000.0), user=User.SPEAKING)
            case "release" if response is None or response.tag is None:
                turn += 1
                sides.decide(Tick(), Release(Tag(turn, turn), "hi", 3000.0), agent=Agent.OWING)
            case "retract":
                sides.decide(VoiceStarted(2000.0), Retract(tag), user=User.SPEAKING)
            case "stop":
                sides.decide(Tick(), Stop(tag), user=User.SPEAKING, agent=Agent.STOPPED)
            case "played":
                sides.play_out(tag)
            case "words":
                sides.sound(tag, "word")
            case "no turn":
                sides.decide(Tick(), NoTurn())
            case "remember":
                turn += 1
                sides.decide(Tick(), Remember(turn, "hi", 3000.0))
            case "drop":
                sides.decide(Silenced(), Drop(tag))
            case _:
                pass
        sides.talk.ledger.messages()
    created = [e["response"]["id"] for e in sides.events if e["type"] == "response.created"]
    done = [e["response"]["id"] for e in sides.events if e["type"] == "response.done"]
    assert len(set(done)) == len(done)
    assert set(done) <= set(created)
    active = {sides.talk.response.id} if sides.talk.response is not None else set()
    assert set(created) - set(done) == active | sides.talk.asides.keys()


def test_audio_is_handed_on_as_it_came() -> None:
    sides = Sides()
    sides.append(20)
    [hear] = sides.told(Hear)
    assert len(hear.audio) == 960
