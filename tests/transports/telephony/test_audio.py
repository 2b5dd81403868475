"""A telephone line's audio: exact samples, one unbroken stream, whatever the packets do."""

from __future__ import annotations

import audioop

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.media import HEARD_HZ, HeardAudio, Pcm
from voice_agent.transports.telephony.audio import Inbound, Level, Resampler, decoded, encoded
from voice_agent.transports.telephony.wire import Encoding, Format, Media


def tone(hz: float, rate: int, seconds: float, level: int = 8000) -> Pcm:
    t = np.arange(round(rate * seconds)) / rate
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def amplitude(pcm: Pcm, hz: float, rate: int) -> float:
    t = np.arange(len(pcm)) / rate
    wave = pcm.astype(float)
    across, along = np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)
    return float(2 * np.hypot((wave * across).mean(), (wave * along).mean()))


def joined(heard: list[HeardAudio]) -> Pcm:
    return np.frombuffer(b"".join(each.pcm for each in heard), dtype=np.int16)


@pytest.mark.parametrize("encoding", [Encoding.PCMU, Encoding.PCMA])
def test_every_g711_code_survives_the_way_there_and_back(encoding: Encoding) -> None:
    """Decoded and encoded again each of the 256 codes is what it was (mu-law has two zeros)."""
    codes = bytes(range(256))
    again = encoded(decoded(codes, encoding), encoding)
    differ = [code for code, other in zip(codes, again, strict=True) if code != other]
    assert differ == ([0x7F] if encoding is Encoding.PCMU else [])


def test_linear_samples_are_what_they_are() -> None:
    """Little-endian, and half a sample at the end of a packet is not a sample."""
    pcm = np.array([-32768, -1, 0, 1, 32767], dtype=np.int16)
    assert encoded(pcm, Encoding.L16) == pcm.astype("<i2").tobytes()
    assert (decoded(encoded(pcm, Encoding.L16) + b"\x01", Encoding.L16) == pcm).all()


@pytest.mark.parametrize("packet_ms", [20, 30, 60, 100])
@pytest.mark.parametrize("rates", [(8000, 16_000), (16_000, 8000), (48_000, 8000), (8000, 48_000)])
def test_a_packet_comes_out_for_a_packet_from_the_first_on(
    packet_ms: int, rates: tuple[int, int]
) -> None:
    """No empty first chunk, none that is short, and none that is long."""
    into, out = rates
    resampler = Resampler(into, out)
    sizes = {
        resampler.write(np.ones(into * packet_ms // 1000, dtype=np.int16)).size for _ in range(50)
    }
    assert sizes == {out * packet_ms // 1000}


@pytest.mark.parametrize("hz", [200, 440, 1000, 2500, 3400])
def test_a_telephones_whole_band_passes_without_clicks(hz: int) -> None:
    """A tone comes out as that tone: level within 0.5 dB, everything else 45 dB below it."""
    resampler = Resampler(8000, 16_000)
    packets = tone(hz, 8000, 2.0).reshape(-1, 160)
    out = np.concatenate([resampler.write(packet) for packet in packets])[1600:30_400]
    level = amplitude(out, hz, 16_000)
    assert abs(20 * np.log10(level / 8000)) < 0.5
    power = np.mean(out.astype(float) ** 2)
    rest = max(power - level**2 / 2, 1.0)
    assert 10 * np.log10(rest / (level**2 / 2)) < -45


@pytest.mark.slow
def test_an_hour_does_not_drift() -> None:
    """After an hour a click comes out where it belongs, to the sample."""
    resampler = Resampler(8000, 16_000)
    packet = np.zeros(160, dtype=np.int16)
    written = sum(resampler.write(packet).size for _ in range(3600 * 50))
    assert written == 3600 * 16_000
    packet[40] = 20_000
    after = np.concatenate([resampler.write(packet), resampler.write(packet * 0)])
    delay = round(resampler.delay_ms * 16)
    assert int(np.argmax(np.abs(after))) == 80 + delay


class Sender:
    """A carrier that sends a tone in numbered, stamped packets."""

    def __init__(self, packet_ms: int = 20, stamped: bool = True, numbered: bool = True) -> None:
        self.inbound = Inbound(Format())
        self.packet_ms = packet_ms
        self.stamped = stamped
        self.numbered = numbered
        self.heard: list[HeardAudio] = []

    def packet(self, number: int) -> Media:
        start = number * self.packet_ms * 8
        samples = tone(400, 8000, (start + self.packet_ms * 8) / 8000)[start:]
        return Media(
            encoded(samples, Encoding.PCMU),
            number + 1 if self.numbered else None,
            float(number * self.packet_ms) if self.stamped else None,
        )

    def send(self, number: int, arrived_ms: float | None = None) -> None:
        arrived = (number + 1) * self.packet_ms if arrived_ms is None else arrived_ms
        self.heard += self.inbound.media(self.packet(number), float(arrived))

    def stall(self, ms: float, now: float) -> None:
        self.heard += self.inbound.stalled(ms, now)

    @property
    def heard_ms(self) -> float:
        return sum(each.duration_ms for each in self.heard)


@pytest.mark.parametrize("packet_ms", [20, 40, 100])
@pytest.mark.parametrize("stamped", [True, False])
def test_packets_in_order_are_heard_at_once(packet_ms: int, stamped: bool) -> None:
    """Each packet is heard when it arrives, whole, and nothing is put in."""
    sender = Sender(packet_ms, stamped)
    for number in range(20):
        sender.send(number)
        assert sender.heard_ms == pytest.approx((number + 1) * packet_ms)
    assert sender.inbound.figures()["in_silence_ms"] == 0
    assert amplitude(joined(sender.heard)[160:], 400, HEARD_HZ) == pytest.approx(8000, rel=0.02)


@pytest.mark.parametrize("stamped", [True, False])
def test_a_packet_that_is_overtaken_is_put_in_its_place(stamped: bool) -> None:
    """Swapped packets make no difference to what is heard."""
    sender, straight = Sender(stamped=stamped), Sender(stamped=stamped)
    for number in range(30):
        straight.send(number)
    for number in [0, 1, 3, 2, 4, 5, 7, 6, *range(8, 30)]:
        sender.send(number, 20.0 * (number + 1))
    assert (joined(sender.heard) == joined(straight.heard)).all()


@pytest.mark.parametrize("stamped", [True, False])
def test_a_lost_packet_is_silence_of_its_length(stamped: bool) -> None:
    """Time stays time: what follows is where it belongs."""
    sender = Sender(stamped=stamped)
    for number in range(30):
        if number != 10:
            sender.send(number)
    pcm = joined(sender.heard)
    assert len(pcm) == 30 * 320
    assert np.abs(pcm[10 * 320 + 64 : 11 * 320 - 0]).max() < 200
    assert amplitude(pcm[12 * 320 :], 400, HEARD_HZ) == pytest.approx(8000, rel=0.02)
    assert sender.inbound.figures()["in_silence_ms"] == 20


def test_a_packet_that_comes_twice_is_heard_once() -> None:
    """Its number gives it away."""
    sender = Sender()
    for number in [0, 1, 1, 2, 2, 2, 3]:
        sender.send(number)
    assert sender.heard_ms == 80
    assert sender.inbound.figures()["in_late"] == 3


@pytest.mark.parametrize("packet_ms", [20, 100, 200])
def test_a_packet_is_missed_when_it_is_late_not_before_it_is_due(packet_ms: int) -> None:
    """Between packets of 100 ms there are 100 ms without one: no hole in the voice."""
    sender = Sender(packet_ms)
    sender.send(0)
    assert sender.inbound.patience_ms == packet_ms + 40


@pytest.mark.parametrize("stamped", [True, False])
def test_when_packets_stop_silence_takes_their_place(stamped: bool) -> None:
    """A muted microphone or a call on hold: time goes on, and the voice with it when it returns."""
    sender = Sender(stamped=stamped)
    for number in range(10):
        sender.send(number)
    for step in range(20):
        sender.stall(20.0, 220.0 + 20 * step)
    assert sender.heard_ms == 600
    # The sender says that it has paused, by its stamps or by having sent nothing.
    resumed = Media(sender.packet(10).payload, 11, 600.0 if stamped else None)
    [voice] = sender.inbound.media(resumed, 620.0)
    assert voice.captured_ms == pytest.approx(600.0, abs=5)
    assert voice.duration_ms == 20


def test_packets_that_were_held_up_are_heard_late_and_not_twice() -> None:
    """A network that stood still delivers all it held: every packet is heard, none is filled."""
    sender = Sender()
    for number in range(10):
        sender.send(number)
    sender.stall(60.0, 260.0)
    for number in range(10, 20):
        sender.send(number, 400.0)
    assert sender.heard_ms == 20 * 20 + 60
    assert sender.heard[-1].captured_ms == pytest.approx(19 * 20, abs=5)


def test_a_line_knows_how_loud_it_is_and_what_was_clipped() -> None:
    """Levels leave silence out; samples at the end of the scale are counted."""
    level = Level()
    level.take(np.zeros(8000, dtype=np.int16))
    assert (level.dbfs, level.clipped) == (-120.0, 0)
    level.take(tone(400, 8000, 1.0, level=3277))
    assert level.dbfs == pytest.approx(-23, abs=0.2)
    assert level.peak_dbfs == pytest.approx(-20, abs=0.2)
    level.take(
        np.clip(tone(400, 8000, 0.1, level=32767).astype(int) * 2, -32768, 32767).astype(np.int16)
    )
    assert level.clipped > 300


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 800), st.integers(0, 300)), max_size=60),
    st.booleans(),
    st.booleans(),
)
def test_whatever_order_packets_come_in_nothing_breaks(
    packets: list[tuple[int, int, int]], stamped: bool, numbered: bool
) -> None:
    """Any numbers, any stamps, any lengths, stalls between: audio of whole samples, bounded."""
    inbound = Inbound(Format())
    now, heard_ms, sent_ms, stalls_ms = 0.0, 0.0, 0.0, 0.0
    for number, size, late in packets:
        now += late
        if late > 60:
            stalls_ms += 20.0
            heard_ms += sum(each.duration_ms for each in inbound.stalled(20.0, now))
        at_ms = number * 20.0 if stamped else None
        media = Media(b"\x80" * size, number if numbered else None, at_ms)
        sent_ms += size / 8
        for each in inbound.media(media, now):
            assert len(each.pcm) % 2 == 0
            heard_ms += each.duration_ms
    assert heard_ms <= sent_ms + stalls_ms + 500.0 * len(packets)
    assert audioop.ulaw2lin(b"\x80", 2) != b"\x00\x00"
