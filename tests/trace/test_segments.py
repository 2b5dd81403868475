"""A turn's latency as contiguous segments, each with what was waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.trace.talk import Talk
from voice_agent.trace.model import Turn
from voice_agent.turns.events import Failed, Heard, SoundScore, Typed, VoiceStarted, VoiceStopped
from voice_agent.turns.playout import FirstSound, OwnSound, PlayedOut
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Remedies

QUESTION = "what time do you open"


def parts(turn: Turn) -> dict[str, float]:
    """Return ms by "stage name", in order."""
    return {f"{s.stage} {s.name}": s.ms for s in turn.segments}


def causes(turn: Turn) -> dict[str, str]:
    return {f"{s.stage} {s.name}": s.cause for s in turn.segments}


def adds_up(turn: Turn) -> bool:
    ends = [segment.start_ms + segment.ms for segment in turn.segments]
    starts = [segment.start_ms for segment in turn.segments]
    assert starts == pytest.approx([0.0, *ends[:-1]])
    return bool(sum(s.ms for s in turn.segments) == pytest.approx(turn.v2v_ms))


def test_what_was_ready_before_the_decision_costs_nothing() -> None:
    """An answer made on a guess: the user waited for the decision alone."""
    talk = Talk().says(QUESTION, 0.95, until=1000).thinks(token=1080, clause=1090, audio=1120)
    talk.at(1125, Heard(QUESTION, True, 0.95)).until(1130.4)
    talk.played(1134, FirstSound(talk.tag))
    assert parts(talk.turn) == pytest.approx(
        {"endpoint silence": 130.0, "transport release": 4.0}, abs=0.2
    )
    assert causes(talk.turn)["endpoint silence"].startswith("turns.floor_ms 130 (words 0.95")
    assert talk.turn.figures["hits"] == 1
    assert adds_up(talk.turn)


def test_what_comes_after_the_decision_is_waited_for_stage_by_stage() -> None:
    """Each stage holds only what it added."""
    settings = TurnSettings(sound_model=False, speculate=False)
    talk = Talk(settings).says(QUESTION, 0.95, until=1000)
    talk.at(1180, Heard(QUESTION, True, 0.95))
    talk.thinks(token=1300, clause=1340, audio=1420).played(1425, FirstSound(talk.tag))
    assert parts(talk.turn) == pytest.approx(
        {
            "endpoint silence": 130.0,
            "asr_final final": 50.0,
            "llm_first_token llm": 120.0,
            "llm_first_clause llm": 40.0,
            "tts_first_audio tts": 80.0,
            "transport release": 5.0,
        },
        abs=0.2,
    )
    assert "took" in causes(talk.turn)["asr_final final"]
    assert talk.turn.figures["hits"] == 0
    assert adds_up(talk.turn)


@pytest.mark.parametrize(
    ("p", "cause"),
    [
        (0.01, "turns.ceiling_ms 1200 (words 0.01)"),
        (0.33, "words 0.33: 665 ms of silence asked"),
        (None, "turns.no_words_ms 700 (no words and no sound to go by)"),
    ],
)
def test_a_silence_names_the_setting_or_the_evidence_that_asked_for_it(
    p: float | None, cause: str
) -> None:
    """Who reads a slow turn sees which key of the TOML to turn."""
    talk = Talk().says("to the", p, until=1000).until(3000)
    talk.thinks(token=3010, clause=3020, audio=3030).played(3031, FirstSound(talk.tag))
    assert causes(talk.turn)["endpoint silence"] == cause
    assert adds_up(talk.turn)


def test_words_that_come_late_are_waited_for_by_name() -> None:
    """The silence that was asked in the end had long passed when the words came."""
    talk = Talk().says("I would like", 0.05, until=1000)
    talk.at(1400, Heard("I would like a table for four", True, 0.95))
    talk.thinks(token=1510, clause=1520, audio=1600).played(1601, FirstSound(talk.tag))
    assert parts(talk.turn)["endpoint silence"] == pytest.approx(130, abs=1)
    assert parts(talk.turn)["endpoint words"] == pytest.approx(270, abs=1)
    assert causes(talk.turn)["endpoint words"] == "words 0.95 came 400 ms after the voice ended"
    assert adds_up(talk.turn)


def test_a_turn_model_that_answers_late_is_named() -> None:
    """The sound decided, and it took its time."""
    talk = Talk(TurnSettings()).says("to the", 0.3, until=1000)
    talk.at(1600, SoundScore(1000, 0.99))
    talk.until(2500).thinks(token=2510, clause=2520, audio=2530).played(2531, FirstSound(talk.tag))
    assert (
        causes(talk.turn)["endpoint turn model"] == "sound 0.99 came 600 ms after the voice ended"
    )
    assert adds_up(talk.turn)


def test_a_silence_noticed_late_is_the_networks_and_the_vads() -> None:
    """Packets that came late, then windows that were scored late."""
    talk = Talk().at(500, VoiceStarted(500)).at(900, Heard(QUESTION, False, 0.95))
    talk.until(1300)
    talk.assembly.received(1240)
    talk.at(1300, VoiceStopped(1000)).at(1310, Heard(QUESTION, True, 0.95))
    talk.thinks(token=1320, clause=1330, audio=1340).played(1341, FirstSound(talk.tag))
    made = parts(talk.turn)
    assert made["endpoint silence"] == pytest.approx(130, abs=1)
    assert made["transport receive"] == pytest.approx(110, abs=1)
    assert made["endpoint vad"] == pytest.approx(60, abs=1)
    assert adds_up(talk.turn)


def test_a_final_transcript_that_never_comes_is_waited_for_as_long_as_is_set() -> None:
    """The setting is named."""
    talk = Talk().says(QUESTION, 0.95, until=1000).until(2000)
    talk.played(2001, FirstSound(talk.tag))
    assert causes(talk.turn)["asr_final final"] == (
        "turns.final_wait_ms 250: no final transcript came"
    )
    assert adds_up(talk.turn)


def test_silence_at_the_head_of_the_synthesized_audio_is_the_voices() -> None:
    """What was played before the first sound is no fault of the transport."""
    talk = Talk().says(QUESTION, 0.95, until=1000).thinks(token=1080, clause=1090, audio=1120)
    talk.at(1125, Heard(QUESTION, True, 0.95)).until(1131)
    talk.played(1194, FirstSound(talk.tag, lead_in_ms=60.0))
    assert parts(talk.turn)["tts_first_audio lead-in"] == 60.0
    assert parts(talk.turn)["transport release"] == pytest.approx(4.0, abs=0.2)
    assert adds_up(talk.turn)


def test_a_tool_that_was_waited_for_is_named() -> None:
    """The first words of the answer needed its result."""
    talk = Talk().at(1000, Typed("book a table"))
    tag = talk.tag
    talk.assembly.work.llm_began(tag, 1001)
    talk.assembly.work.tool_began(tag, "c1", "book_table", 1100, read_only=False)
    talk.assembly.work.tool_ran(tag, "c1", 1100)
    talk.assembly.work.tool_ended(tag, "c1", 1250)
    talk.assembly.work.llm_began(tag, 1251)
    talk.assembly.work.llm_token(tag, 1300)
    talk.assembly.work.clause(tag, 1310)
    talk.assembly.work.audio(tag, 1330, 100)
    talk.played(1331, FirstSound(tag))
    assert parts(talk.turn) == pytest.approx(
        {
            "llm_first_token llm": 50.0,
            "llm_first_token tool:book_table": 150.0,
            "llm_first_clause llm": 10.0,
            "tts_first_audio tts": 20.0,
            "transport release": 1.0,
        }
    )


def test_an_answer_that_was_asked_for_twice_says_what_the_first_attempt_cost() -> None:
    """A retry is a segment of its own, and the turn still adds up."""
    talk = Talk().at(1000, Typed("hello"))
    talk.at(1400, Failed(talk.tag))
    talk.thinks(token=1500, clause=1510, audio=1520).played(1521, FirstSound(talk.tag))
    assert parts(talk.turn)["llm_first_token failed"] == 400.0
    assert causes(talk.turn)["llm_first_token failed"] == "the answer did not come: asked again"
    assert [event.name for event in talk.turn.events].count("retry") == 1
    assert adds_up(talk.turn)
    talk.played(2000, PlayedOut(talk.tag, "hi"))
    assert talk.turn.kind == "typed"


def test_what_a_filler_stood_in_for_is_blamed_for_the_wait() -> None:
    """The first sound is the filler's; the stage that was not there by then is the last segment."""
    talk = Talk(TurnSettings(sound_model=False, speculate=False))
    talk.state = replace(talk.state, remedies=Remedies(filler_after_ms=700))
    talk.says(QUESTION, 0.95, until=1000).at(1120, Heard(QUESTION, True, 0.95)).until(1850)
    talk.played(1851, FirstSound(talk.tag))
    assert list(parts(talk.turn)) == ["endpoint silence", "llm_first_token llm"]
    assert causes(talk.turn)["llm_first_token llm"] == (
        "not there 700 ms after the turn was decided: a filler is said"
    )
    assert adds_up(talk.turn)
    talk.thinks(token=2000, clause=2100, audio=2200).played(2201, OwnSound(talk.tag))
    assert talk.turn.figures["answer_ms"] == 1201.0
    assert list(parts(talk.turn)) == ["endpoint silence", "llm_first_token llm"]
    assert adds_up(talk.turn)
