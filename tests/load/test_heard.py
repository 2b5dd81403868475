"""What is measured on the packets a caller heard."""

import numpy as np
import pytest

from voice_agent.load.heard import Heard

PACKET = 960


def sound(level):
    """20 ms of a square wave of this peak."""
    return np.tile(np.array([level, -level], np.int16), PACKET // 2)


def play(heard, levels, *, start_s=100.0, sequence=65_530, timestamp=2**32 - 5 * PACKET):
    """Add a packet every 20 ms, over the wrap of both counters."""
    for index, level in enumerate(levels):
        heard.add(
            start_s + index * 0.02,
            (sequence + index) & 0xFFFF,
            (timestamp + index * PACKET) & 0xFFFFFFFF,
            sound(level),
        )


def test_first_sound_is_the_arrival_of_the_packet_that_held_it():
    """Samples below -45 dBFS are not sound."""
    heard = Heard()
    play(heard, [0, 0, 150, 5000, 5000])
    assert heard.sound_after(100.0) == pytest.approx(100.06)
    assert heard.sound_after(100.07) == pytest.approx(100.08)
    assert heard.sound_after(100.09) is None


def test_counters_that_wrap_lose_nothing():
    """Sequence numbers and timestamps start near their end and go over it."""
    heard = Heard()
    play(heard, [5000] * 12)
    assert (heard.lost, heard.packets, len(heard.audio())) == (0, 12, 12 * PACKET)


def test_a_lost_packet_is_20_ms_of_silence():
    """What follows a lost packet stays where it was."""
    heard = Heard()
    heard.add(0.0, 1, 0, sound(5000))
    heard.add(0.04, 3, 2 * PACKET, sound(7000))
    assert heard.lost == 1
    audio = heard.audio()
    assert len(audio) == 3 * PACKET
    assert not audio[PACKET : 2 * PACKET].any()
    assert audio[2 * PACKET] == 7000


def test_packets_twice_or_out_of_order_are_late():
    """Only what comes after the latest packet is decoded."""
    heard = Heard()
    heard.add(0.0, 65_535, 0, sound(5000))
    assert heard.is_late(65_535)
    assert heard.is_late(65_534)
    assert not heard.is_late(0)


def test_a_sender_whose_timestamps_stand_still_in_silence_keeps_its_place():
    """Ten seconds without a packet are ten seconds of silence, whatever the timestamps say."""
    heard = Heard()
    heard.add(0.0, 1, 0, sound(5000))
    heard.add(10.0, 2, PACKET, sound(7000))
    assert len(heard.audio()) == pytest.approx(10.02 * 48_000, abs=PACKET)
    assert heard.sound_after(5.0) == 10.0


def test_onset_is_sound_behind_silence():
    """Sound that goes on is not a new onset; 100 ms of quiet are needed before it."""
    heard = Heard()
    play(heard, [5000] * 10 + [0] * 2 + [5000] * 5 + [0] * 6 + [5000] * 3)
    assert heard.silence_after(100.0) == pytest.approx(100.34)
    assert heard.onset_after(100.0) == pytest.approx(100.46)


def test_reaction_to_a_barge_in_is_ducking_and_then_silence():
    """Times from the caller's first sound to 6 dB less and to nothing."""
    heard = Heard()
    play(heard, [8000] * 30 + [2000] * 20 + [0] * 20)
    reaction = heard.reaction(100.5)
    assert reaction.ducked_ms == pytest.approx(100)
    assert reaction.silent_ms == pytest.approx(500)


def test_an_agent_that_goes_on_has_not_reacted():
    """Neither ducked nor silent; and what happens after ``until_s`` is not a reaction."""
    heard = Heard()
    play(heard, [8000] * 50 + [0] * 20)
    reaction = heard.reaction(100.5, until_s=100.9)
    assert (reaction.ducked_ms, reaction.silent_ms) == (None, None)


def test_a_short_dip_is_not_a_duck():
    """60 ms between two words are not a reaction."""
    heard = Heard()
    play(heard, [8000] * 30 + [0] * 3 + [8000] * 20)
    assert heard.reaction(100.5).ducked_ms is None
