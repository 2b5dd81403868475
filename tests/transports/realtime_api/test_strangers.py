"""Whatever comes over the socket, the server stays up and other calls hear nothing of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.running import Server
from tests.transports.realtime_api.talker import talking
from tests.transports.realtime_api.test_sdk import write

pytestmark = pytest.mark.slow

_KINDS = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
]
_text = st.text(max_size=30)
_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_fields = {
    "audio": st.sampled_from(["AAAA", "!", "A" * 4000]) | _value,
    "session": st.fixed_dictionaries({"type": st.just("realtime")}, optional={"tools": _value}),
    "item": st.fixed_dictionaries(
        {"type": st.just("message"), "role": st.sampled_from(["user", "assistant"])},
        optional={"content": _value},
    ),
    "item_id": _text,
    "audio_end_ms": st.integers(),
    "content_index": st.integers(),
    "response": _value,
}
_events = st.fixed_dictionaries({"type": st.sampled_from(_KINDS)}, optional=_fields).map(json.dumps)
_messages = st.one_of(
    _events,
    _events.map(lambda text: text[: len(text) // 2]),
    _text,
    st.binary(max_size=200),
    st.just("[" * 5000),
    st.just('{"type": "input_audio_buffer.append", "audio": "' + "A" * 200_000 + '"}'),
)


async def annoy(url: str, messages: list[str | bytes]) -> list[dict[str, Any]]:
    """Send everything on one connection; return the server's events."""
    heard: list[dict[str, Any]] = []
    async with connect(f"{url.replace('http', 'ws', 1)}/v1/realtime?model=m") as client:
        try:
            for message in messages:
                await client.send(message)
            await client.send(json.dumps({"type": "who.knows", "event_id": "the last"}))
            async for message in client:
                event = json.loads(message)
                heard.append(event)
                if event["type"] == "error" and event["error"]["event_id"] == "the last":
                    break
        except ConnectionClosed:
            pass
    return heard


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch=st.lists(_messages, max_size=12))
def test_nothing_a_client_sends_takes_the_server_down(
    host: Server, batch: list[str | bytes]
) -> None:
    """Each message is answered or ignored, and the last one is still answered."""
    heard = asyncio.run(annoy(host.url, batch))
    assert heard[0]["type"] == "session.created"
    assert heard[-1]["error"]["event_id"] == "the last"
    for event in heard:
        if event["type"] == "error":
            assert event["error"]["type"] == "invalid_request_error"
    assert "Traceback" not in host.log()


async def test_another_call_hears_nothing_of_it(host: Server) -> None:
    """A story told to its end while strangers shout at the same server."""

    async def shout() -> None:
        for _ in range(20):
            await annoy(host.url, ["{", "[" * 5000, b"\0" * 1000, '{"type": 1}'] * 10)

    async with talking(host.url) as talker:
        await write(talker, "Tell me a story")
        await talker.until("response.output_audio.delta")
        shouting = asyncio.create_task(shout())
        response, said = await talker.answer()
        await shouting
        assert response.status == "completed"
        assert said.endswith("the end of the world.")
        assert "error" not in talker.kinds()


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["x" * (5 * 1024 * 1024)], 1009),
        (['{"type": "response.cancel"}'] * 5000, 1008),
    ],
    ids=["a message of 5 MB", "5000 events at once"],
)
async def test_too_much_ends_the_connection(host: Server, messages: list[str], code: int) -> None:
    """With the WebSocket's own codes."""
    async with connect(f"{host.url.replace('http', 'ws', 1)}/v1/realtime") as client:
        with pytest.raises(ConnectionClosed):  # noqa: PT012
            for message in messages:
                await client.send(message)
            while True:
                await client.recv()
        assert client.close_code == code
    await asyncio.to_thread(host.wait_until_idle)


async def test_a_client_that_vanishes_leaves_no_call_behind(host: Server) -> None:
    """The socket breaks in mid-answer; the line is free again."""
    async with talking(host.url) as talker:
        await write(talker, "Tell me a story")
        await talker.until("response.output_audio.delta")
        transport: Any = talker.api._connection.transport  # type: ignore[attr-defined]
        transport.abort()
    await asyncio.to_thread(host.wait_until_idle)
    assert "Traceback" not in host.log()


def test_nothing_of_the_api_is_imported_before_its_first_client() -> None:
    """The models take a second to import, which every start would pay."""
    code = (
        "import sys\n"
        "from voice_agent.config import load_pipeline\n"
        "from voice_agent.sessions import Conversations\n"
        "from voice_agent.transports.realtime_api.routes import RealtimeApi\n"
        "import asyncio\n"
        "async def main():\n"
        "    pipeline = load_pipeline('embedded')\n"
        "    assert RealtimeApi(pipeline, Conversations(pipeline)).routes()\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'openai'])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
