"""What the agent does with the call it is in: it hangs up, hands over, presses keys."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from twilio.request_validator import RequestValidator

from tests.running import Server
from tests.transports.telephony.api import CarrierApi, carrier_api
from voice_agent.load import wire
from voice_agent.load.errors import Lost
from voice_agent.load.handsets.bridge import BridgeHandset
from voice_agent.load.handsets.handset import Handset, Play, Said
from voice_agent.load.handsets.twilio import TwilioHandset
from voice_agent.load.phone import Phone
from voice_agent.media import Pcm
from voice_agent.transports.telephony.audio import decoded
from voice_agent.transports.telephony.wire import Encoding

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

TOKEN = "twilio's secret"
SCRIPT = """
fallback = ["Once more, please?"]
[slots.to]
values = { kitchen = "kitchen", moon = "moon" }
[slots.keys]
values = { "42#" = "code" }
[[intents]]
name = "bye"
match = ["goodbye"]
tool = "hang_up"
[[intents]]
name = "transfer"
match = ["put me through"]
tool = "transfer_call"
uses = ["to"]
[[intents]]
name = "press"
match = ["press"]
tool = "press_keys"
uses = ["keys"]
[tools.hang_up]
answers = ["Goodbye, thank you."]
[tools.transfer_call]
answers = ["One moment please."]
errors = ["I am sorry, {error}"]
[tools.press_keys]
answers = ["I have pressed the keys."]
"""
PIPELINE = """
agent = "{folder}/agent.toml"
greeting = false
[asr]
engine = "scripted"
[llm]
engine = "scripted"
script = "{folder}/script.toml"
ttft_ms = 20
tokens_per_s = 200
[tts]
engine = "scripted"
ttfb_ms = 20
ms_per_word = 150
[telephony]
tools = {{ hang_up = true, press_keys = true, transfer_to = {{ kitchen = "+15550123" }} }}
bridge = {{}}
[telephony.twilio]
api_url = "{api}"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api() -> AsyncIterator[CarrierApi]:
    async with carrier_api() as serving:
        yield serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    api: CarrierApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    folder: Path = tmp_path_factory.mktemp("calling")
    (folder / "agent.toml").write_text('name = "Ann"\npersona = "You answer the telephone."\n')
    (folder / "script.toml").write_text(SCRIPT)
    file = folder / "calling.toml"
    file.write_text(PIPELINE.format(folder=folder, api=api.url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWILIO_ACCOUNT_SID", "AC0")
        patch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
        patch.setenv("VOICE_AGENT_BRIDGE_TOKEN", TOKEN)
        with Server(folder, "--pipeline", str(file)) as running:
            yield running


async def ask(phone: Phone, text: str) -> str:
    """Type ``text``, and return the answer when all of it has been heard."""
    asked_s = phone.now()
    phone.send(wire.message("send-text", {"content": text}))
    await phone.until(lambda: phone.log.first("agent-turn", since_s=asked_s) is not None, "answer")
    said = phone.log.first("agent-turn", since_s=asked_s)
    assert said is not None
    return str(said.data["text"])


class ListeningHandset(TwilioHandset):
    """Keeps all that it is sent to play."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.heard = bytearray()

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what a message means."""
        said = super().hear(message)
        self.heard += b"".join(each.payload for each in said if isinstance(each, Play))
        return said


LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
PAD = ("123A", "456B", "789C", "*0#D")


def keys_in(pcm: Pcm) -> str:
    """Return the keys whose two tones make up whole 20 ms of 8 kHz audio; ITU-T Q.23."""
    step = 160
    t = np.arange(step) / 8000
    found = ""
    for frame in pcm[: pcm.size // step * step].reshape(-1, step).astype(float):
        low, high = (
            [float(2 * abs((frame * np.exp(-2j * np.pi * tone * t)).mean()) ** 2) for tone in side]
            for side in (LOW, HIGH)
        )
        whole = float((frame**2).mean())
        pure = whole > 1e4 and (max(low) + max(high)) / whole > 0.85
        found += PAD[low.index(max(low))][high.index(max(high))] if pure else " "
    return re.sub(r"(.)\1+", r"\1", found).replace(" ", "")


async def ended(phone: Phone) -> str:
    """Return how the line ended, once it has."""
    with pytest.raises(Lost) as lost:
        await phone.until(lambda: False, "hang up")
    return str(lost.value)


async def test_it_hangs_up_when_it_has_said_goodbye(server: Server, api: CarrierApi) -> None:
    """Through the carrier, and not before its last word."""
    async with Phone(server.url, TwilioHandset(TOKEN)) as phone:
        assert await ask(phone, "goodbye") == "Goodbye, thank you."
        asked = await api.until_asked()
        assert asked.path.endswith(f"/Calls/{phone.handset.call_id}.json")
        assert asked.said == {"Status": "completed"}
        assert "closed" in await ended(phone)


async def test_it_hands_the_call_over_to_whom_it_may(server: Server, api: CarrierApi) -> None:
    """To a name of the pipeline's; to nobody else, whatever the caller wants."""
    async with Phone(server.url, TwilioHandset(TOKEN)) as phone:
        said = await ask(phone, "put me through to the moon")
        assert said == "I am sorry, I can put you through to kitchen only."
        assert await ask(phone, "put me through to the kitchen") == "One moment please."
        asked = await api.until_asked()
        assert "<Dial>+15550123</Dial>" in asked.said["Twiml"]
        assert "closed" in await ended(phone)


async def test_a_transfer_that_fails_leaves_the_call_as_it_is(
    server: Server, api: CarrierApi
) -> None:
    """The caller is still talked to."""
    api.status = 500
    try:
        async with Phone(server.url, TwilioHandset(TOKEN)) as phone:
            await ask(phone, "put me through to the kitchen")
            await api.until_asked()
            assert await ask(phone, "are you there") == "Once more, please?"
    finally:
        api.status = 200


async def test_keys_are_sound_where_the_line_has_nothing_else(server: Server) -> None:
    """The far end hears the two tones of each."""
    handset = ListeningHandset(TOKEN)
    async with Phone(server.url, handset) as phone:
        assert await ask(phone, "press the code") == "I have pressed the keys."
        assert keys_in(decoded(bytes(handset.heard), Encoding.PCMU)) == "42#"


@pytest.mark.parametrize(
    ("text", "sign"),
    [("goodbye", "hung up"), ("put me through to the kitchen", "transferred to +15550123")],
)
async def test_a_bridge_is_told_in_its_own_words(server: Server, text: str, sign: str) -> None:
    """Keys, a transfer and the end are events of the contract."""
    handset: Handset = BridgeHandset(TOKEN)
    async with Phone(server.url, handset) as phone:
        await ask(phone, "press the code")
        assert phone.keys_received == "42#"
        await ask(phone, text)
        assert sign in await ended(phone)


async def test_a_machine_that_answers_is_hung_up_on(server: Server, api: CarrierApi) -> None:
    """Because the carrier says so, in a callback that it has signed."""
    async with Phone(server.url, TwilioHandset(TOKEN)) as phone, aiohttp.ClientSession() as http:
        url = f"{server.url}/telephony/twilio/events"
        form = {"CallSid": phone.handset.call_id, "AnsweredBy": "machine_start"}
        signature = RequestValidator(TOKEN).compute_signature(url, form)
        async with http.post(url, data=form) as unsigned:
            assert unsigned.status == 401
        assert not api.asked
        headers = {"X-Twilio-Signature": signature}
        async with http.post(url, data=form, headers=headers) as answer:
            assert answer.status == 204
        assert (await api.until_asked()).said == {"Status": "completed"}
        assert "closed" in await ended(phone)
