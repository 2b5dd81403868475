"""Whatever strangers send to webhooks and media sockets: the server stays, and no call hears it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.running import FIXTURES, Server
from voice_agent.load.handsets.bridge import BridgeHandset
from voice_agent.load.phone import Phone
from voice_agent.load.wav import read_wav

pytestmark = pytest.mark.slow

TABLES = [
    "--pipeline=fixed-latency",
    "--insecure-dev",
    *(f"--set=telephony.{name}={{}}" for name in ("twilio", "vonage", "genesys", "bridge")),
]
START = json.dumps({"event": "start", "version": 1, "call_id": "1", "encoding": "l16"})
TWILIO_START = json.dumps(
    {"event": "start", "streamSid": "MZ0", "start": {"streamSid": "MZ0", "callSid": "CA0"}}
)
AUDIO = base64.b64encode(bytes(160)).decode()


def twilio(**media: object) -> str:
    return json.dumps({"event": "media", "streamSid": "MZ0", "media": media})


NONSENSE: list[list[str | bytes]] = [
    ["{", '{"event": "start', "[]", "null", "1e999", "\ud7ff", "{" * 5000],
    [START, START, START],
    [b"\x00" * 320, START],
    [START, b"", b"\x01", bytes(65_000), b"\xff" * 3],
    [START, '{"event": "dtmf", "keys": "x"}', '{"event": "mark"}', '{"event": "nothing"}'],
    [START, *['{"event": 1}'] * 60],
    ['{"event": "start", "version": 2}'],
]
TWILIO_NONSENSE: list[list[str | bytes]] = [
    [TWILIO_START, twilio(payload="not base64!"), twilio(payload=3), twilio(), twilio(payload="")],
    [TWILIO_START, *(twilio(payload=AUDIO, chunk=n, timestamp=n * 7) for n in (9, 0, 2**40, 3))],
    [twilio(payload=AUDIO), TWILIO_START, TWILIO_START],
    [TWILIO_START, twilio(payload=AUDIO, chunk=-1), twilio(payload=AUDIO, timestamp="soon")],
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("strangers"), *TABLES) as running:
        yield running


async def ticket(server: Server) -> str:
    """Return a media socket's address as a webhook's answer has it."""
    form = {"CallSid": "CA0", "From": "+15550100", "Direction": "inbound"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/telephony/twilio/answer", data=form) as answer,
    ):
        told = await answer.text()
    return told.partition('url="')[2].partition('"')[0]


async def send(socket: ClientConnection, messages: list[str | bytes]) -> None:
    try:
        for message in messages:
            await socket.send(message)
        await asyncio.wait_for(socket.recv(), 0.3)
    except (ConnectionClosed, TimeoutError):
        pass


async def bother(server: Server) -> None:
    """Be every stranger there is, once."""
    bridge = server.url.replace("http", "ws", 1) + "/bridge"
    for messages in NONSENSE:
        async with connect(bridge, close_timeout=1) as socket:
            await send(socket, messages)
    for messages in TWILIO_NONSENSE:
        async with connect(await ticket(server), close_timeout=1) as socket:
            await send(socket, messages)
    async with connect(bridge, close_timeout=1) as socket:
        await send(socket, [START, bytes(70_000)])
        await socket.wait_closed()
        assert socket.close_code == 1009, "a message is too long"
    async with connect(bridge, close_timeout=1) as socket:
        await send(socket, [START, *[b"\x00\x00"] * 1500])
        await socket.wait_closed()
        assert socket.close_code == 1008, "there are too many"


async def test_a_call_hears_nothing_of_strangers(server: Server) -> None:
    """It is answered meanwhile as it was before."""
    question = read_wav(FIXTURES / "what-time-do-you-open-on-sunday.wav")
    async with Phone(server.url, BridgeHandset("")) as phone:
        await phone.greeting(within_s=0.5)
        bothering = asyncio.create_task(bother(server))
        while not bothering.done():
            turn = await phone.say(question)
            assert turn.agent.startswith("This is the answer")
        await bothering
    await asyncio.to_thread(server.wait_until_idle)
    assert "Traceback" not in server.log()


async def test_a_ticket_opens_one_socket(server: Server) -> None:
    """The second with it, one that is made up, and one at another carrier are refused."""
    url = await ticket(server)
    async with connect(url, close_timeout=1) as socket:
        await socket.send(TWILIO_START)
        for other in (url, url[:-3] + "abc", url.replace("twilio", "vonage")):
            with pytest.raises(InvalidStatus) as refused:
                await connect(other)
            assert refused.value.response.status_code == 403


async def test_webhooks_say_what_is_wrong_with_them(server: Server) -> None:
    """With the right status; a page of somebody else's is refused by its origin."""
    answer = f"{server.url}/telephony/twilio/answer"
    async with aiohttp.ClientSession() as http:
        for url, body, headers, status in (
            (answer, b"x" * 70_000, {}, 413),
            (answer, b"From=1", {"Content-Type": "application/x-www-form-urlencoded"}, 422),
            (answer.replace("twilio", "nobody"), b"", {}, 404),
            (answer, b"CallSid=1", {"Origin": "https://elsewhere.example"}, 403),
            (f"{server.url}/telephony/vonage/answer", b"{", {}, 422),
            (f"{server.url}/telephony/twilio/transfer/made-up", b"", {}, 403),
        ):
            async with http.post(url, data=body, headers=headers) as refused:
                assert refused.status == status, (url, await refused.text())
    elsewhere = {"Origin": "https://elsewhere.example"}
    with pytest.raises(InvalidStatus) as no_page:
        await connect(server.url.replace("http", "ws", 1) + "/bridge", additional_headers=elsewhere)
    assert no_page.value.response.status_code == 403


async def test_one_address_may_not_ask_for_ever(server: Server) -> None:
    """After a hundred at once it is told 429."""
    async with aiohttp.ClientSession() as http:
        seen = set()
        for _ in range(150):
            async with http.post(f"{server.url}/telephony/twilio/answer") as answer:
                seen.add(answer.status)
    assert seen == {422, 429}
