"""The official Python SDK, unmodified, against a server as anybody runs it."""

from __future__ import annotations

import asyncio
import audioop
import json
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from openai import AuthenticationError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.running import Server
from tests.transports.realtime_api.talker import (
    Talker,
    base64_of,
    client_of,
    narrow_recording,
    recording,
    talking,
)

pytestmark = pytest.mark.slow

TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
MANUAL = {"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the temperature in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


async def write(talker: Talker, text: str) -> None:
    """Add a typed message and ask for a response."""
    part: Any = {"type": "input_text", "text": text}
    item: Any = {"type": "message", "role": "user", "content": [part]}
    await talker.api.conversation.item.create(item=item)
    await talker.api.response.create()


async def test_a_spoken_question_is_heard_and_answered_aloud(server: Server) -> None:
    """Real audio through the default pipeline: words, times, sound and transcript."""
    async with talking(server.url, microphone=True, session=TRANSCRIBED) as talker:
        await talker.say("what-time-do-you-open-on-sunday")
        _, said = await talker.answer(status="completed")
        assert said
        heard = await talker.until("conversation.item.input_audio_transcription.completed")
        assert heard.transcript == "what time do you open on sunday"
        mine = talker.of_item(heard.item_id)
        started = await talker.until("input_audio_buffer.speech_started", mine)
        stopped = await talker.until("input_audio_buffer.speech_stopped", mine)
        assert started.audio_start_ms < stopped.audio_end_ms
        assert len(talker.audio) > 2 * 24_000, "more than a second of voice"
        words = [
            e.delta for e in talker.events if e.type == "response.output_audio_transcript.delta"
        ]
        assert "".join(words) == said


async def test_the_agents_own_persona_and_tools_answer_until_the_client_says_otherwise(
    patterns: Server,
) -> None:
    """A booking is made on the server; the client sees no call of a tool it does not have."""
    before = patterns.bookings()
    async with talking(patterns.url, session={"output_modalities": ["text"]}) as talker:
        created = talker.events[0]
        assert "Bella Notte" in created.session.instructions  # type: ignore[union-attr, operator]
        await write(talker, "A table for three on Sunday at eight in the evening.")
        response, said = await talker.answer()
        assert "booked" in said
        assert [item.type for item in response.output] == ["message"]
    assert [(people, at) for people, _, at in patterns.bookings()[len(before) :]] == [(3, "20:00")]


async def test_a_response_to_nothing_is_the_greeting(server: Server) -> None:
    """A client that lets the agent begin hears what callers hear."""
    async with talking(server.url) as talker:
        await talker.api.response.create()
        _, said = await talker.answer()
        assert said == "Good evening, Bella Notte, how can I help you?"


async def test_a_call_of_the_clients_tool_goes_out_and_its_output_is_spoken(host: Server) -> None:
    """Asked aloud in text, called, answered, and the answer said."""
    async with talking(host.url, session={"tools": [WEATHER]}) as talker:
        await write(talker, "What is the weather in rome?")
        response, _ = await talker.answer()
        [call] = response.output
        assert (call.type, call.name) == ("function_call", "get_weather")
        assert json.loads(call.arguments) == {"city": "rome"}
        done = await talker.until("response.function_call_arguments.done")
        assert done.call_id == call.call_id
        since = len(talker.events)
        output = json.dumps({"temperature": 31})
        item: Any = {"type": "function_call_output", "call_id": call.call_id, "output": output}
        await talker.api.conversation.item.create(item=item)
        await talker.api.response.create()
        response, said = await talker.answer(since)
        assert said == "It is 31 degrees in rome."
        assert response.status == "completed"
        assert len(talker.audio) > 24_000


async def test_an_interruption_ends_the_response_and_the_client_says_what_was_heard(
    host: Server,
) -> None:
    """The voice over the agent's is told, the response cancelled, the truncation remembered."""
    async with talking(host.url, microphone=True, session=TRANSCRIBED) as talker:
        await write(talker, "Tell me a story")
        await talker.until(
            "response.output_audio_transcript.delta", lambda event: "king" in event.delta
        )
        since = len(talker.events)
        saying = asyncio.create_task(talker.say("sorry-could-you-repeat-that-please"))
        await talker.until("input_audio_buffer.speech_started", since=since)
        cut, heard = await talker.answer()
        assert cut.status == "cancelled"
        assert cut.status_details.reason == "turn_detected"
        assert heard.startswith("Once upon a time there was a king")
        [item] = cut.output
        await talker.api.conversation.item.truncate(
            item_id=item.id, content_index=0, audio_end_ms=600
        )
        truncated = await talker.until("conversation.item.truncated", since=since)
        assert truncated.audio_end_ms == 600
        await saying
        next_response = await talker.until("response.created", since=since)
        _, repeated = await talker.answer(talker.events.index(next_response))
        assert repeated.startswith("I said: Once upon")
        assert "king" not in repeated


async def test_a_client_that_is_silent_for_long_is_spoken_to(host: Server) -> None:
    """``idle_timeout_ms`` after an answer has been heard, the server begins a response itself."""
    waits = {"type": "server_vad", "idle_timeout_ms": 5000}
    session = {"audio": {"input": {"turn_detection": waits}}}
    async with talking(host.url, microphone=True, session=session) as talker:
        await write(talker, "What is the weather in rome?")
        await talker.answer()
        since = len(talker.events)
        silent = await talker.until("input_audio_buffer.timeout_triggered")
        assert 4900 < silent.audio_end_ms - silent.audio_start_ms < 6500
        committed = await talker.until("input_audio_buffer.committed", since=since)
        assert committed.item_id == silent.item_id
        limits = (await talker.until("rate_limits.updated", since=since)).rate_limits
        assert 1900 < limits[0].remaining <= limits[0].limit == 2000
        _, said = await talker.answer(since)
        assert said


async def test_a_backchannel_stops_nothing(host: Server) -> None:
    """Nothing is told on which a client would stop playing, and the answer is said to its end."""
    async with talking(host.url, microphone=True, session=TRANSCRIBED) as talker:
        await write(talker, "Tell me a story")
        await talker.until("response.output_audio_transcript.delta")
        await talker.say("yeah")
        response, said = await talker.answer()
        assert response.status == "completed"
        assert said.endswith("the end of the world.")
        assert "input_audio_buffer.speech_started" not in talker.kinds()


async def test_text_is_answered_in_text_without_a_sound(host: Server) -> None:
    """``output_modalities: text``: the answer streams as it is written."""
    async with talking(host.url, session={"output_modalities": ["text"]}) as talker:
        await write(talker, "Tell me a story")
        response, said = await talker.answer()
        deltas = [e.delta for e in talker.events if e.type == "response.output_text.delta"]
        assert "".join(deltas) == said
        assert said.startswith("Once upon a time")
        assert len(deltas) > 20
        assert not talker.audio
        assert response.usage.output_tokens == len(deltas)


async def test_one_response_can_be_asked_for_in_text(host: Server) -> None:
    """Its own modality for one response; the next one is spoken again."""
    async with talking(host.url) as talker:
        item: Any = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Tell me a story"}],
        }
        await talker.api.conversation.item.create(item=item)
        await talker.api.response.create(response={"output_modalities": ["text"]})
        await talker.answer()
        assert not talker.audio
        since = len(talker.events)
        await write(talker, "What is the weather?")
        _, said = await talker.answer(since)
        assert said == "Where?"
        assert talker.audio


async def test_push_to_talk_waits_for_the_client(patterns: Server) -> None:
    """Without turn detection a recording sent at once is one turn, answered when asked for."""
    async with talking(patterns.url, session=MANUAL) as talker:
        audio = recording("what-time-do-you-open-on-sunday")
        for start in range(0, len(audio), 9600):
            chunk = base64_of(audio[start : start + 9600])
            await talker.api.input_audio_buffer.append(audio=chunk)
        await talker.api.input_audio_buffer.commit()
        heard = await talker.until("conversation.item.input_audio_transcription.completed")
        assert heard.transcript == "what time do you open on sunday"
        assert "response.created" not in talker.kinds()
        assert "input_audio_buffer.speech_started" not in talker.kinds()
        await talker.api.response.create()
        _, said = await talker.answer()
        assert said.startswith("On Sunday we are open from noon")


async def test_cleared_audio_is_not_heard(server: Server) -> None:
    """What was cleared is in no transcript; what follows is."""
    async with talking(server.url, session=MANUAL) as talker:
        await talker.api.input_audio_buffer.append(
            audio=base64_of(recording("sorry-could-you-repeat-that-please"))
        )
        await talker.api.input_audio_buffer.clear()
        await talker.until("input_audio_buffer.cleared")
        await talker.api.input_audio_buffer.append(
            audio=base64_of(recording("what-time-do-you-open-on-sunday"))
        )
        await talker.api.input_audio_buffer.commit()
        heard = await talker.until("conversation.item.input_audio_transcription.completed")
        assert heard.transcript == "what time do you open on sunday"


@pytest.mark.parametrize("encoding", ["audio/pcmu", "audio/pcma"])
async def test_a_telephone_gateway_speaks_g711(server: Server, encoding: str) -> None:
    """8 kHz, 8 bits, both ways: the same words, and an answer of the same length."""
    narrow = {"type": encoding}
    both = {"input": {**MANUAL["audio"]["input"], "format": narrow}, "output": {"format": narrow}}
    pcm = narrow_recording("sorry-could-you-repeat-that-please")
    encode = audioop.lin2ulaw if encoding == "audio/pcmu" else audioop.lin2alaw
    async with talking(server.url, session={"audio": both}) as talker:
        await talker.api.input_audio_buffer.append(audio=base64_of(encode(pcm, 2)))
        await talker.api.input_audio_buffer.commit()
        await talker.api.response.create()
        response, said = await talker.answer()
        heard = await talker.until("conversation.item.input_audio_transcription.completed")
        assert heard.transcript == "sorry could you repeat that please"
        assert said
        assert response.audio.output.format.type == encoding
        decode = audioop.ulaw2lin if encoding == "audio/pcmu" else audioop.alaw2lin
        assert len(talker.audio) > 8000, "more than a second"
        assert audioop.rms(decode(bytes(talker.audio), 2), 2) > 500


async def test_an_answer_beside_the_conversation(host: Server) -> None:
    """Out of band: answered in text while nothing is added."""
    async with talking(host.url) as talker:
        asked: Any = {
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"topic": "story"},
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Tell me a story"}],
                }
            ],
        }
        await talker.api.response.create(response=asked)
        response, said = await talker.answer()
        assert said.startswith("Once upon a time")
        assert response.metadata == {"topic": "story"}
        assert "conversation.item.added" not in talker.kinds()


async def test_cancelling_ends_the_answer(host: Server) -> None:
    """The agent falls silent, and is ready for more."""
    async with talking(host.url) as talker:
        await write(talker, "Tell me a story")
        await talker.until("response.output_audio.delta")
        await talker.api.response.cancel()
        response, _ = await talker.answer()
        assert response.status == "cancelled"
        assert response.status_details.reason == "client_cancelled"
        since = len(talker.events)
        await write(talker, "What is the weather?")
        _, said = await talker.answer(since)
        assert said == "Where?"


async def test_another_voice_and_another_speed(host: Server) -> None:
    """Both are the engine's; faster is shorter, and a voice that has spoken stays."""
    lengths = []
    for speed in (1.0, 1.5):
        output = {"voice": "nova", "speed": speed}
        async with talking(host.url, session={"audio": {"output": output}}) as talker:
            await write(talker, "What is the weather?")
            await talker.answer()
            lengths.append(len(talker.audio))
            voice: Any = {"type": "realtime", "audio": {"output": {"voice": "marin"}}}
            await talker.api.session.update(session=voice)
            refused = await talker.until("error")
            assert refused.error.code == "cannot_update_voice"
    assert lengths[1] < 0.85 * lengths[0]


async def test_mistakes_get_the_apis_error_and_the_session_goes_on(host: Server) -> None:
    """Unknown fields, wrong values, bad JSON: each one error, with the event it was about."""
    async with talking(host.url, session={"output_modalities": ["text"]}) as talker:
        raw = talker.api
        cases = [
            ({"type": "session.update", "session": {"type": "realtime", "modalities": []}},
             "unknown_parameter", "session.modalities"),
            ({"type": "session.update", "session": {"type": "transcription"}},
             "unsupported_parameter", "session.type"),
            ({"type": "response.cancel"}, "response_cancel_not_active", None),
            ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
            ({"type": "who.knows"}, "invalid_value", "type"),
        ]  # fmt: skip
        for number, (event, code, param) in enumerate(cases):
            since = len(talker.events)
            await raw.send_raw(json.dumps({**event, "event_id": f"event-{number}"}))
            error = (await talker.until("error", since=since)).error
            assert (error.code, error.param) == (code, param)
            assert error.event_id == f"event-{number}"
            assert error.type == "invalid_request_error"
        since = len(talker.events)
        await raw.send_raw('{"type": ')
        assert (await talker.until("error", since=since)).error.code == "invalid_json"
        await write(talker, "What is the weather?")
        _, said = await talker.answer()
        assert said == "Where?"


# ----- who is let in -----


async def refused(url: str, **options: Any) -> Any:
    """Return the HTTP response to a WebSocket that is not let in."""
    with pytest.raises(InvalidStatus) as told:
        await connect(f"{url.replace('http', 'ws', 1)}/v1/realtime?model=m", **options)
    return told.value.response


def error_code(response: Any) -> str:
    return str(json.loads(response.body or b"")["error"]["code"])


async def test_only_who_has_a_key_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 in the API's shape for everybody else; a page is let in by a client secret."""
    monkeypatch.setenv("TEST_REALTIME_KEY", "sk-right")
    arguments = ("--pipeline", "fixed-latency", "--set", "realtime.key_env=TEST_REALTIME_KEY")
    with Server(tmp_path, *arguments) as server:
        for headers in ({}, {"Authorization": "Bearer sk-wrong"}, {"Authorization": "Basic x"}):
            response = await refused(server.url, additional_headers=headers)
            assert response.status_code == 401
            assert error_code(response) == "invalid_api_key"
        with pytest.raises(AuthenticationError):
            await client_of(server.url, "sk-wrong").realtime.client_secrets.create()
        right = {"Authorization": "Bearer sk-right"}
        elsewhere = {"origin": "https://evil.example", "additional_headers": right}
        assert (await refused(server.url, **elsewhere)).status_code == 403
        session: Any = {"type": "realtime", "instructions": "Be brief."}
        secret = await client_of(server.url, "sk-right").realtime.client_secrets.create(
            session=session, expires_after={"anchor": "created_at", "seconds": 60}
        )
        assert secret.session.instructions == "Be brief."  # type: ignore[union-attr]
        async with client_of(server.url, secret.value).realtime.connect(model="m") as connection:
            created: Any = await connection.recv()
            assert created.session.instructions == "Be brief."
        offered: Any = ["realtime", f"openai-insecure-api-key.{secret.value}", "openai-agents-sdk"]
        url = server.url.replace("http", "ws", 1) + "/v1/realtime?model=m"
        async with connect(url, subprotocols=offered, origin=server.url) as browser:  # type: ignore[arg-type]
            assert browser.subprotocol == "realtime"
            assert json.loads(await browser.recv())["type"] == "session.created"
        guess: Any = ["realtime", "openai-insecure-api-key.ek_guess"]
        assert (await refused(server.url, subprotocols=guess)).status_code == 401
        with pytest.raises(AuthenticationError):
            await client_of(server.url, secret.value).realtime.client_secrets.create()
        assert "sk-" not in server.log()
        assert "ek_" not in server.log()


async def test_whoever_guesses_keys_is_slowed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty wrong keys, then 429; the right one is still let in."""
    monkeypatch.setenv("TEST_REALTIME_KEY", "sk-right")
    arguments = ("--pipeline", "fixed-latency", "--set", "realtime.key_env=TEST_REALTIME_KEY")
    with Server(tmp_path, *arguments) as server:
        statuses = set()
        for number in range(30):
            headers = {"Authorization": f"Bearer guess-{number}"}
            statuses.add((await refused(server.url, additional_headers=headers)).status_code)
        assert statuses == {401, 429}
        async with client_of(server.url, "sk-right").realtime.connect(model="m") as connection:
            assert (await connection.recv()).type == "session.created"


async def test_a_busy_server_says_so_before_it_accepts(tmp_path: Path) -> None:
    """503 with Retry-After, in the API's shape."""
    with Server(tmp_path, "--pipeline", "fixed-latency", "--set", "sessions.max=1") as server:
        async with talking(server.url):
            response = await refused(server.url)
            assert response.status_code == 503
            assert response.headers["Retry-After"]
            assert error_code(response) == "server_busy"
        async with talking(server.url) as talker:
            assert talker.events


async def test_there_is_no_more_of_the_api_here(server: Server) -> None:
    """Other addresses under /v1 answer 404 in the API's shape, and a bad request 400."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.get("/v1/models")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_url"
        bad = await client.post("/v1/realtime/client_secrets", json={"session": {"type": "tea"}})
        assert bad.status_code == 400
        assert bad.json()["error"]["param"] == "session.type"
