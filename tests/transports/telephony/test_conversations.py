"""Whole telephone calls through every carrier's own protocol: spoken, interrupted, keyed, ended.

G.711 on the wire, real sockets, signed webhooks; the stages take a fixed time, and the recogniser
is told what it hears.
"""

from __future__ import annotations

import asyncio
import base64
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.running import FIXTURES, Server
from voice_agent.load import wire
from voice_agent.load.call import call
from voice_agent.load.errors import Busy, Unreachable
from voice_agent.load.handsets.bridge import (
    AsteriskHandset,
    BridgeHandset,
    FreeSwitchHandset,
    JambonzHandset,
)
from voice_agent.load.handsets.exotel import ExotelHandset
from voice_agent.load.handsets.genesys import API_KEY, GenesysHandset
from voice_agent.load.handsets.handset import Handset
from voice_agent.load.handsets.plivo import PlivoHandset
from voice_agent.load.handsets.telnyx import TelnyxHandset
from voice_agent.load.handsets.twilio import TwilioHandset
from voice_agent.load.handsets.vonage import VonageHandset
from voice_agent.load.impairment import Network
from voice_agent.load.phone import Phone
from voice_agent.load.speaking import Said
from voice_agent.load.wav import read_wav
from voice_agent.paths import pipelines_dir

pytestmark = pytest.mark.slow

PIPELINE = """
agent = "agents/bella-notte.toml"
greeting = false
[asr]
engine = "scripted"
final_ms = 30
[llm]
engine = "scripted"
script = "agents/bella-notte.script.toml"
ttft_ms = 20
tokens_per_s = 200
[tts]
engine = "scripted"
ttfb_ms = 20
ms_per_word = 150
[turns]
finalize_eagerly = true
[telephony]
"""


@dataclass(frozen=True)
class Line:
    """A carrier as the tests know it."""

    handset: type[Handset]
    table: str
    """Its table in ``[telephony]``."""
    secrets: dict[str, str]
    secret: str
    """The one that it signs with."""

    def phone(self, server: Server, **more: Any) -> Phone:
        return Phone(server.url, self.handset(self.secret), **more)


CLIENT_SECRET = base64.b64encode(b"genesys's secret").decode()

LINES = {
    "twilio": Line(
        TwilioHandset,
        "twilio = {}",
        {"TWILIO_ACCOUNT_SID": "AC0", "TWILIO_AUTH_TOKEN": "twilio's secret"},
        "twilio's secret",
    ),
    "telnyx": Line(
        TelnyxHandset,
        'telnyx = { codec = "PCMA" }',
        {
            "TELNYX_PUBLIC_KEY": TelnyxHandset.public_key("telnyx's secret"),
            "TELNYX_API_KEY": "KEY0",
        },
        "telnyx's secret",
    ),
    "plivo": Line(
        PlivoHandset,
        "plivo = {}",
        {"PLIVO_AUTH_ID": "MA0", "PLIVO_AUTH_TOKEN": "plivo's secret"},
        "plivo's secret",
    ),
    "vonage": Line(
        VonageHandset,
        "vonage = {}",
        {
            "VONAGE_SIGNATURE_SECRET": "vonage's secret, which is long enough",
            "VONAGE_APPLICATION_ID": "app",
            "VONAGE_PRIVATE_KEY": "/nowhere",
        },
        "vonage's secret, which is long enough",
    ),
    "exotel": Line(
        ExotelHandset, "exotel = {}", {"EXOTEL_KEY": "exotel's secret"}, "exotel's secret"
    ),
    "genesys": Line(
        GenesysHandset,
        "genesys = {}",
        {"GENESYS_API_KEY": API_KEY, "GENESYS_CLIENT_SECRET": CLIENT_SECRET},
        CLIENT_SECRET,
    ),
    "bridge": Line(
        BridgeHandset, "bridge = {}", {"VOICE_AGENT_BRIDGE_TOKEN": "a token"}, "a token"
    ),
    "asterisk": Line(AsteriskHandset, "", {}, "a token"),
    "jambonz": Line(JambonzHandset, "", {}, "a token"),
    "freeswitch": Line(FreeSwitchHandset, "", {}, "a token"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that knows all carriers, and their secrets."""
    folder = tmp_path_factory.mktemp("telephony")
    file = folder / "telephony.toml"
    file.write_text(PIPELINE + "\n".join(line.table for line in LINES.values()))
    with pytest.MonkeyPatch.context() as patch:
        for line in LINES.values():
            for name, value in line.secrets.items():
                patch.setenv(name, value)
        with Server(folder, "--pipeline", str(file)) as running:
            yield running


@pytest.fixture(params=LINES)
def line(request: pytest.FixtureRequest) -> Line:
    return LINES[request.param]


@pytest.fixture
async def phone(server: Server, line: Line) -> AsyncIterator[Phone]:
    async with line.phone(server) as calling:
        yield calling


def menus() -> list[str]:
    script = tomllib.loads((pipelines_dir() / "agents/bella-notte.script.toml").read_text())
    [menu] = [intent for intent in script["intents"] if intent["name"] == "menu"]
    return list(menu["answers"])


async def say(phone: Phone, name: str) -> Said:
    """Say a fixture, after telling the recogniser what it will hear."""
    speech = read_wav(FIXTURES / f"{name}.wav")
    texts = name.split("-")
    each_ms = (speech.end_ms - speech.start_ms) / len(texts)
    words = [{"text": word, "at_ms": (i + 1) * each_ms} for i, word in enumerate(texts)]
    phone.send(wire.script(words))
    await phone.wait(phone.now() + 0.2)
    return await phone.play(speech)


async def test_a_telephone_call(server: Server, phone: Phone) -> None:
    """A question is answered; an answer is interrupted, and remembered as far as it was heard;
    keys are words; and when the caller has hung up the line is free."""
    # Spoken.
    asked = await phone.answer(await say(phone, "what-time-do-you-open-on-sunday"))
    assert asked.user == "what time do you open on sunday"
    assert asked.agent.startswith("On Sunday we are open from noon")
    assert asked.v2v_ms is not None, "the agent waits for the caller's end"
    # Interrupted.
    asked_s = phone.now()
    phone.send(wire.message("send-text", {"content": "What is on the menu?"}))
    began_s = await phone.sound(asked_s, "answer")
    await phone.wait(began_s + 1.0)
    clears = phone.clears
    said = await say(phone, "sorry-could-you-repeat-that-please")
    await phone.until(lambda: phone.log.first("agent-turn", since_s=began_s) is not None, "stop")
    cut = phone.log.first("agent-turn", since_s=began_s)
    assert cut is not None
    assert cut.data["interrupted"]
    recalls = not isinstance(phone.handset, FreeSwitchHandset)
    assert not recalls or phone.clears > clears, "what was on its way has been taken back"
    fell_silent = phone.heard.reaction(said.start_s, said.stop_s).silent_ms
    assert fell_silent is not None, "it fell silent while the caller spoke"
    again = await phone.answer(said)
    repeated = phone.log.last("agent-turn", since_s=again.sound_s)
    assert repeated is not None
    heard = repeated.data["text"].removesuffix(" —")
    assert any(menu.startswith(heard) and menu != heard for menu in menus())
    # Keyed.
    pressed_s = phone.now()
    phone.press("42#")
    await phone.until(
        lambda: phone.log.first("agent-turn", since_s=pressed_s) is not None, "answer"
    )
    keyed = phone.log.first("user-turn", since_s=pressed_s)
    assert keyed is not None
    assert keyed.data["text"] == "42"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("line", ["twilio", "vonage", "genesys", "bridge"], indirect=True)
async def test_the_line_is_free_when_the_caller_has_hung_up(server: Server, line: Line) -> None:
    """Politely or by a line that breaks."""
    await asyncio.to_thread(server.wait_until_idle)
    async with line.phone(server):
        assert server.active() == 1
    await asyncio.to_thread(server.wait_until_idle)
    async with line.phone(server) as broken:
        assert broken._socket is not None
        broken._socket.transport.abort()
        await asyncio.to_thread(server.wait_until_idle)


@pytest.mark.parametrize("line", ["twilio", "plivo", "exotel", "asterisk"], indirect=True)
async def test_a_bad_network_is_talked_over(server: Server, line: Line) -> None:
    """Lost, swapped and late packets: the question is still a turn, and answered."""
    network = Network(delay_ms=40, jitter_ms=30, loss=0.02, reorder=0.02)
    async with line.phone(server, network=network) as phone:
        asked = await phone.answer(await say(phone, "what-time-do-you-open-on-sunday"))
        assert asked.agent.startswith("On Sunday we are open from noon")


async def test_the_call_command_calls_on_a_telephone_line(server: Server) -> None:
    """Signed with the secret from the environment; it says what the agent heard and answered."""
    said: list[str] = []
    question = FIXTURES / "what-time-do-you-open-on-sunday.wav"
    assert await call(server.url, [question], transport="twilio", print=said.append) == 0
    assert said[0].startswith("user:  word word")
    assert said[1].startswith("agent: ")


async def test_who_cannot_sign_is_not_answered(server: Server, line: Line) -> None:
    """A request with another secret, or with none, is refused, and nothing of it is logged."""
    for secret in ("YW5vdGhlciBzZWNyZXQsIHdoaWNoIGlzIGxvbmcgZW5vdWdo", ""):
        handset = line.handset(secret, caller="+4930123456")
        with pytest.raises((Unreachable, Busy)) as refused:
            await Phone(server.url, handset).__aenter__()
        assert any(status in str(refused.value) for status in ("401", "403"))
    assert "4930123456" not in server.log()
    await asyncio.to_thread(server.wait_until_idle)
