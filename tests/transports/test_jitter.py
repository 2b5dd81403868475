"""The jitter buffer: no packet waits that need not, and media time survives the network."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.transports.jitter import DEEPEST, MediaClock, VoiceJitterBuffer


@dataclass
class Packet:
    sequence_number: int
    timestamp: int
    _data: bytes = b""


def packet(number: int, first: int = 0) -> Packet:
    sequence = (first + number) & 0xFFFF
    return Packet(sequence, (number * 960) & 0xFFFFFFFF, sequence.to_bytes(2, "big"))


def play(buffer: VoiceJitterBuffer, *numbers: int, first: int = 0) -> list[int]:
    out: list[int] = []
    for number in numbers:
        _, frame = buffer.add(packet(number, first))
        frames = [frame] if frame else []
        frames += list(buffer.backlog)
        buffer.backlog.clear()
        out += [(int.from_bytes(f.data, "big") - first) & 0xFFFF for f in frames]
    return out


def test_packets_in_order_leave_at_once() -> None:
    """The usual case waits for nothing."""
    buffer = VoiceJitterBuffer()
    for number in range(50):
        assert play(buffer, number) == [number]


def test_two_packets_that_changed_places_are_put_right() -> None:
    """One packet is waited for, and nothing is lost."""
    buffer = VoiceJitterBuffer()
    assert play(buffer, 0, 2, 1, 3) == [0, 1, 2, 3]
    assert buffer.lost == 0


def test_a_lost_packet_holds_the_others_up_by_no_more_than_one() -> None:
    """A gap costs one packet's wait, once."""
    buffer = VoiceJitterBuffer()
    assert play(buffer, 0, 2) == [0]
    assert play(buffer, 3) == [2, 3]
    assert play(buffer, 4) == [4]
    assert buffer.lost == 1


def test_a_network_that_delivers_late_is_waited_for_longer_and_then_less_again() -> None:
    """Depth follows what the network does, within bounds."""
    buffer = VoiceJitterBuffer()
    play(buffer, 0, 2, 3, 1)
    assert buffer.depth == 2
    play(buffer, *range(4, 600))
    assert buffer.depth == 1


def test_sequence_numbers_wrap() -> None:
    """After 65535 comes 0 (RFC 3550)."""
    buffer = VoiceJitterBuffer()
    assert play(buffer, *range(10), first=0xFFFB) == list(range(10))


@given(st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1))
def test_any_network_yields_each_packet_at_most_once_and_in_order(first: int, seed: int) -> None:
    """Loss, duplication and reordering never produce disorder, nor hold packets for ever."""
    dice = random.Random(seed)
    numbers = [n for n in range(120) if n == 0 or dice.random() > 0.1]
    numbers += [n for n in numbers if dice.random() < 0.05]
    numbers.sort(key=lambda n: n + dice.random() * 5 * (n > 0))
    buffer = VoiceJitterBuffer()
    out = play(buffer, *numbers, first=first)
    assert out == sorted(set(out))
    assert play(buffer, *range(200, 220), first=first)[-1] == 219
    assert len(buffer._waiting) <= DEEPEST + 1


def test_the_least_delayed_packet_fixes_the_media_clock() -> None:
    """Jitter moves nothing: a sample was captured when it was captured."""
    clock = MediaClock()
    for number, delay in enumerate([5.0, 0.0, 40.0, 12.0]):
        clock.arrived(number * 960, 1000.0 + 20.0 * (number + 1) + delay)
    assert clock.captured_ms(2 * 960) == pytest.approx(1040.0)
    assert clock.captured_ms(3 * 960 + 480) == pytest.approx(1070.0)


def test_the_media_clock_wraps_with_its_timestamps() -> None:
    """A timestamp wraps after a day; time goes on."""
    clock = MediaClock()
    clock.arrived(2**32 - 960, 1020.0)
    clock.arrived(0, 1040.0)
    clock.arrived(960, 1060.0)
    assert clock.captured_ms(2 * 960) == pytest.approx(1040.0)
    assert clock.captured_ms(0) == pytest.approx(1000.0)
