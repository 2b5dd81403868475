"""Every carrier's protocol, word for word: as the carrier publishes it, as Pipecat reads and
writes it, and as somebody writes it who does not mean well."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
)
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.serializers.exotel import ExotelFrameSerializer
from pipecat.serializers.genesys import GenesysAudioHookSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.serializers.vonage import VonageFrameSerializer

from voice_agent.load.handsets.bridge import (
    AsteriskHandset,
    BridgeHandset,
    FreeSwitchHandset,
    JambonzHandset,
)
from voice_agent.load.handsets.exotel import ExotelHandset
from voice_agent.load.handsets.genesys import GenesysHandset
from voice_agent.load.handsets.handset import Clear, Handset, Keys, Mark, Play
from voice_agent.load.handsets.plivo import PlivoHandset
from voice_agent.load.handsets.telnyx import TelnyxHandset
from voice_agent.load.handsets.twilio import TwilioHandset
from voice_agent.load.handsets.vonage import VonageHandset
from voice_agent.transports.telephony.asterisk import AsteriskWire
from voice_agent.transports.telephony.audio import decoded, encoded
from voice_agent.transports.telephony.bridge import BridgeWire
from voice_agent.transports.telephony.exotel import ExotelWire
from voice_agent.transports.telephony.freeswitch import FreeSwitchWire
from voice_agent.transports.telephony.genesys import PROBE, GenesysWire
from voice_agent.transports.telephony.jambonz import JambonzWire
from voice_agent.transports.telephony.plivo import PlivoWire
from voice_agent.transports.telephony.telnyx import TelnyxWire
from voice_agent.transports.telephony.twilio import TwilioWire
from voice_agent.transports.telephony.vonage import VonageWire
from voice_agent.transports.telephony.wire import (
    BadMessage,
    Drained,
    Encoding,
    Ended,
    Event,
    Format,
    Key,
    Marked,
    Media,
    Reply,
    Rtvi,
    Started,
    Wire,
)


class Talk:
    """A wire and the handset at its other end, connected."""

    def __init__(self, wire: Wire, handset: Handset) -> None:
        self.wire = wire
        self.handset = handset
        self.events: list[Event] = []
        for message in handset.opening():
            self.tell(message)
        [self.started] = [event for event in self.events if isinstance(event, Started)]

    def tell(self, message: str | bytes) -> list[Event]:
        """Send a message of the handset's; what the protocol demands goes back to it."""
        events = list(self.wire.receive(message))
        for event in events:
            if isinstance(event, Reply):
                self.handset.hear(event.message)
        self.events += events
        return events


PAIRS: dict[str, Callable[[], Talk]] = {
    "twilio": lambda: Talk(TwilioWire(), TwilioHandset()),
    "telnyx": lambda: Talk(TelnyxWire(), TelnyxHandset()),
    "plivo": lambda: Talk(PlivoWire(), PlivoHandset()),
    "vonage": lambda: Talk(VonageWire(None, 16_000), vonage_handset()),
    "exotel": lambda: Talk(ExotelWire(), ExotelHandset()),
    "genesys": lambda: Talk(GenesysWire(), GenesysHandset()),
    "bridge": lambda: Talk(BridgeWire(), BridgeHandset()),
    "asterisk": lambda: Talk(AsteriskWire(), AsteriskHandset()),
    "jambonz": lambda: Talk(JambonzWire(), JambonzHandset()),
    "freeswitch": lambda: Talk(FreeSwitchWire(Format(Encoding.L16, 16_000)), FreeSwitchHandset()),
}
PIPECATS = ["twilio", "telnyx", "plivo", "vonage", "exotel", "genesys"]
"""Those that Pipecat speaks too."""


def vonage_handset() -> VonageHandset:
    handset = VonageHandset()
    endpoint = {"type": "websocket", "uri": "wss://x", "content-type": "audio/l16;rate=16000"}
    handset.media_url("", json.dumps([{"action": "connect", "endpoint": [endpoint]}]))
    return handset


def fresh(wire: Wire) -> Wire:
    """Another wire of the same kind, that nothing was said on yet."""
    match wire:
        case VonageWire():
            return VonageWire(None, 16_000)
        case FreeSwitchWire():
            return FreeSwitchWire(Format(Encoding.L16, 16_000))
        case _:
            return type(wire)()


@pytest.fixture(params=PAIRS)
def talk(request: pytest.FixtureRequest) -> Talk:
    return PAIRS[request.param]()


def a_packet(talk: Talk) -> bytes:
    samples = talk.started.format.hz // 50
    tone = (8000 * np.sin(np.arange(samples) / 5)).astype(np.int16)
    return encoded(tone, talk.started.format.encoding)


def test_a_call_starts_and_says_what_it_is(talk: Talk) -> None:
    """Its id and its format are the handset's."""
    if not isinstance(talk.wire, VonageWire):  # the webhook's ticket says there which call it is
        assert talk.started.call_id == talk.handset.call_id
    assert talk.started.format.hz == talk.handset.hz


def test_audio_keys_and_the_end_are_understood(talk: Talk) -> None:
    """What the handset sends is what the wire hears."""
    packet = a_packet(talk)
    for number in range(3):
        message = talk.handset.media(packet, number, number * 20.0)
        [media] = talk.tell(message)
        assert isinstance(media, Media)
        assert media.payload == packet
        assert media.number in (None, number + 1)
        assert media.at_ms in (None, number * 20.0)
    assert [event for m in talk.handset.key("#") for event in talk.tell(m)] == [Key("#")]
    ends = [event for m in talk.handset.closing() for event in talk.tell(m)]
    assert not ends or isinstance(ends[-1], Ended)


def test_what_is_played_marked_and_cleared_is_understood_there(talk: Talk) -> None:
    """What the wire writes is what the carrier takes; a mark that is reached comes back."""
    packet = a_packet(talk)
    assert talk.handset.hear(talk.wire.audio(packet)) == (Play(packet),)
    clear = talk.wire.clear()
    if clear is not None:
        assert talk.handset.hear(clear) == (Clear(),)
    mark = talk.wire.mark("3.1600")
    if mark is None:
        done = [event for m in talk.handset.drained() for event in talk.tell(m)]
        assert done in ([], [Drained()])
    else:
        [asked] = talk.handset.hear(mark)
        assert isinstance(asked, Mark)
        back = [event for m in talk.handset.marked(asked.name) for event in talk.tell(m)]
        assert back == [Marked("3.1600")]
    keys = talk.wire.keys("12#")
    if keys is not None:
        assert talk.handset.hear(keys) == (Keys("12#"),)


def test_an_rtvi_message_is_one_on_every_wire(talk: Talk) -> None:
    """Instruments speak it beside the audio."""
    message = {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {}}
    assert talk.tell(json.dumps(message)) == [Rtvi(message)]


# As Pipecat reads and writes them


def serializer(talk: Talk) -> FrameSerializer:
    """Pipecat's serializer for the same stream, without its requests to the carrier."""
    handset = talk.handset
    match handset:
        case TwilioHandset():
            off = TwilioFrameSerializer.InputParams(auto_hang_up=False)
            return TwilioFrameSerializer(handset.stream_id, params=off)
        case TelnyxHandset():
            quiet = TelnyxFrameSerializer.InputParams(auto_hang_up=False)
            return TelnyxFrameSerializer(handset.stream_id, "PCMU", "PCMU", params=quiet)
        case PlivoHandset():
            mute = PlivoFrameSerializer.InputParams(auto_hang_up=False)
            return PlivoFrameSerializer(handset.stream_id, params=mute)
        case VonageHandset():
            return VonageFrameSerializer()
        case ExotelHandset():
            return ExotelFrameSerializer(handset.stream_id)
        case _:
            return GenesysAudioHookSerializer()


async def theirs(talk: Talk) -> Any:
    """Their serializer, set up at the line's own rate so that it resamples nothing."""
    made: Any = serializer(talk)
    made._sample_rate = talk.started.format.hz
    if isinstance(talk.handset, GenesysHandset):
        opening = GenesysHandset()
        opening.stream_id, opening.call_id = talk.handset.stream_id, talk.handset.call_id
        message = json.loads(opening.opening()[0])
        del message["parameters"]["media"][0]  # it takes the first that is offered
        await made.deserialize(json.dumps(message))
    return made


@pytest.mark.parametrize("talk", PIPECATS, indirect=True)
async def test_our_audio_and_pipecats_are_the_same_message(talk: Talk) -> None:
    """Byte for byte the same audio, whichever of us writes it."""
    pcm = decoded(a_packet(talk), talk.started.format.encoding)
    pipecat = await theirs(talk)
    if isinstance(talk.handset, GenesysHandset):
        pcm = np.tile(pcm, 10)
    frame = OutputAudioRawFrame(pcm.tobytes(), talk.started.format.hz, 1)
    written = await pipecat.serialize(frame)
    ours = talk.wire.audio(encoded(pcm, talk.started.format.encoding))
    if isinstance(written, str):
        assert json.loads(written) == json.loads(ours)
    else:
        assert written == ours


@pytest.mark.parametrize("talk", PIPECATS, indirect=True)
async def test_our_clear_and_pipecats_mean_the_same(talk: Talk) -> None:
    """What takes back what was sent; numbered messages differ in their number only."""
    pipecat = await theirs(talk)
    written = json.loads(await pipecat.serialize(InterruptionFrame()))
    clear = talk.wire.clear()
    assert clear is not None
    ours = json.loads(clear)
    for each in (written, ours):
        for key in ("seq", "clientseq", "position"):
            each.pop(key, None)
    assert ours == written


@pytest.mark.parametrize("talk", PIPECATS, indirect=True)
async def test_pipecat_hears_what_we_hear(talk: Talk) -> None:
    """The same audio and the same keys from the same messages."""
    pipecat = await theirs(talk)
    packet = a_packet(talk)
    heard = await pipecat.deserialize(talk.handset.media(packet, 0, 0.0))
    assert isinstance(heard, InputAudioRawFrame)
    assert heard.audio == decoded(packet, talk.started.format.encoding).tobytes()
    [key] = talk.handset.key("5")
    pressed = await pipecat.deserialize(key)
    assert isinstance(pressed, InputDTMFFrame)
    assert pressed.button.value == "5"


# As they are published


def test_twilios_own_examples() -> None:
    """The messages of Twilio's documentation."""
    wire = TwilioWire()
    assert (
        list(wire.receive('{"event": "connected", "protocol": "Call", "version": "1.0.0"}')) == []
    )
    start = {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": "AC1",
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"FirstName": "Jane", "RemoteParty": "Bob"},
        },
        "streamSid": "MZ1",
    }
    [started] = wire.receive(json.dumps(start))
    assert isinstance(started, Started)
    assert (started.call_id, dict(started.ids)) == ("CA1", {"stream_id": "MZ1"})
    assert started.parameters == {"FirstName": "Jane", "RemoteParty": "Bob"}
    media = {
        "event": "media",
        "sequenceNumber": "3",
        "media": {"track": "outbound", "chunk": "1", "timestamp": "5", "payload": "no+JhoaJjpz"},
        "streamSid": "MZ1",
    }
    assert list(wire.receive(json.dumps(media))) == [], "the agent's own voice is not the caller's"


def test_a_probe_of_genesys_is_answered_and_is_no_call() -> None:
    """Genesys looks whether we are there before it lets anybody use us."""
    wire, handset = GenesysWire(), GenesysHandset()
    handset.call_id = PROBE
    events = list(wire.receive(handset.opening()[0]))
    assert len(events) == 1
    assert isinstance(events[0], Reply)
    assert handset.hear(events[0].message) == ()
    closed, ended = wire.receive(handset.closing()[0])
    assert isinstance(closed, Reply)
    assert isinstance(ended, Ended)


def test_genesys_is_told_when_its_audio_is_not_spoken_here() -> None:
    """The agent's own voice is not the caller's."""
    wire, handset = GenesysWire(), GenesysHandset()
    opening = json.loads(handset.opening()[0])
    opening["parameters"]["media"][0]["channels"] = ["internal"]
    del opening["parameters"]["media"][1]
    [refusal] = wire.receive(json.dumps(opening))
    assert isinstance(refusal, Reply)
    assert json.loads(refusal.message)["type"] == "disconnect"


def test_of_both_sides_in_one_stream_genesyss_caller_is_heard() -> None:
    """Samples take turns, the external side's first."""
    wire, handset = GenesysWire(), GenesysHandset()
    opening = json.loads(handset.opening()[0])
    del opening["parameters"]["media"][1]
    assert isinstance(list(wire.receive(json.dumps(opening)))[1], Started)
    assert list(wire.receive(b"cacaca")) == [Media(b"ccc")]


# By somebody who does not mean well

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_message_breaks_a_wire(name: str, data: st.DataObject) -> None:
    """Truncated, changed, reordered, repeated, or made up: an event or a BadMessage, no more."""
    talk = PAIRS[name]()
    packet = a_packet(talk)
    real: list[str | bytes] = [
        *talk.handset.opening(),
        talk.handset.media(packet, 0, 0.0),
        *talk.handset.key("1"),
        *talk.handset.marked('{"mark": "1"}'),
        *talk.handset.closing(),
    ]
    wire = fresh(talk.wire)
    for _ in range(data.draw(st.integers(1, 6))):
        message = data.draw(st.sampled_from(real))
        match data.draw(st.sampled_from(["as it is", "cut", "changed", "made up", "bytes"])):
            case "cut":
                message = message[: data.draw(st.integers(0, len(message)))]
            case "changed" if isinstance(message, str):
                parsed = json.loads(message) if message.startswith("{") else {"event": message}
                key = data.draw(st.sampled_from(sorted(parsed)))
                if isinstance(parsed[key], dict) and parsed[key] and data.draw(st.booleans()):
                    inner = data.draw(st.sampled_from(sorted(parsed[key])))
                    parsed[key][inner] = data.draw(anything)
                else:
                    parsed[key] = data.draw(anything)
                message = json.dumps(parsed)
            case "made up":
                message = json.dumps(data.draw(anything))
            case "bytes":
                message = data.draw(st.binary(max_size=50))
            case _:
                pass
        with suppress(BadMessage):
            for event in wire.receive(message):
                if isinstance(event, Media):
                    assert isinstance(event.payload, bytes)


@pytest.mark.parametrize(
    "message",
    ["", "null", "[]", "[" * 100_000, '{"event": "media"}', '{"event": {}}', b"\xff" * 10, "\x00"],
)
@pytest.mark.parametrize("name", PAIRS)
def test_what_is_no_message_is_said_to_be_none(name: str, message: str | bytes) -> None:
    """In words that do not repeat it."""
    talk = PAIRS[name]()
    if isinstance(message, bytes) and name not in ("twilio", "telnyx", "plivo", "exotel"):
        assert list(talk.wire.receive(message)) == [Media(message)]
        return
    with pytest.raises(BadMessage) as refused:
        list(talk.wire.receive(message))
    assert "\xff" not in str(refused.value)
    assert base64.b64encode(b"x").decode() not in str(refused.value)


def test_asterisk_is_spoken_to_in_the_format_it_speaks() -> None:
    """Text, or JSON where it is set to that; a call is its channel, not its connection."""
    plain, told = AsteriskWire(), AsteriskWire()
    channel = "WebSocket/agent/0x5140001a0040"
    words = f"MEDIA_START connection_id:agent channel:{channel} format:ulaw optimal_frame_size:160"
    [started] = plain.receive(words)
    assert isinstance(started, Started)
    assert started.call_id == channel
    assert (plain.clear(), plain.goodbye()) == ("FLUSH_MEDIA", "HANGUP")
    event = {"event": "MEDIA_START", "connection_id": "agent", "channel": channel}
    more = {"channel_id": "1761245643.1", "format": "slin16", "optimal_frame_size": 640}
    [started] = told.receive(json.dumps({**event, **more, "channel_variables": {}}))
    assert isinstance(started, Started)
    assert (started.call_id, started.format) == ("1761245643.1", Format(Encoding.L16, 16_000))
    assert told.clear() == '{"command": "FLUSH_MEDIA"}'
    assert told.goodbye() == '{"command": "HANGUP"}'
