"""A caller over real WebRTC, against an agent that knows what it did and when."""

import asyncio
import json

import numpy as np
import pytest
import soundfile

from tests.load.peer import FRAME, Peer
from voice_agent.load.call import call
from voice_agent.load.caller import Caller
from voice_agent.load.errors import Busy, Lost, NoAnswer, Unreachable
from voice_agent.load.mouth import PACKET, Stream
from voice_agent.load.wav import HZ, speech


def utterance(seconds=0.5, before=0.0, after=0.0):
    tone = 9000 * np.sin(2 * np.pi * 330 * np.arange(int(HZ * seconds)) / HZ)
    silence = [np.zeros(int(HZ * each)) for each in (before, after)]
    return speech(np.concatenate([silence[0], tone, silence[1]]).astype(np.int16), "tone")


def test_a_voice_ends_with_a_packet_wherever_it_ended_in_the_file():
    """The last sample of the voice is the last of its packet; none of the sound is lost."""
    for after in (0.0, 0.003, 0.5, 0.517):
        stream = Stream(floor_dbfs=-90)
        for _ in range(3):
            stream.packet()
        said = stream.put(utterance(0.51, before=0.1, after=after))
        packets = [stream.packet() for _ in range(said.end + 3 - stream.next)]
        loud = [np.flatnonzero(np.abs(packet.astype(int)) > 50) for packet in packets]
        first, last = (next(i for i in order if len(loud[i])) for order in
                       (range(len(loud)), reversed(range(len(loud)))))  # fmt: skip
        assert (first + 3, last + 3) == (said.first, said.last)
        assert loud[last][-1] >= PACKET - 5


def test_two_utterances_overlap_as_they_were_put():
    """Sounds may be mixed: a cough over a word."""
    stream = Stream(floor_dbfs=-120)
    once = Stream(floor_dbfs=-120)
    once.put(utterance())
    stream.put(utterance())
    stream.put(utterance())
    for _ in range(20):
        np.testing.assert_array_equal(stream.packet(), 2 * once.packet())


async def test_latency_is_what_the_agent_did():
    """Stop and sound are the packets they were: the agent's own stamps lie in between."""
    async with Peer() as peer, Caller(peer.url) as caller:
        turn = await caller.say(utterance(after=0.2))
    [(frame, sent_s)] = peer.track.sound_frames
    [voice_end_s] = peer.voice_ends
    assert turn.said.stop_s <= voice_end_s < sent_s <= turn.sound_s
    assert turn.v2v_ms == pytest.approx((turn.sound_s - turn.said.stop_s) * 1000)
    # By the media clock: Opus delays a sound by 6.5 ms, so it starts in the packet it was put in.
    heard_frame = np.flatnonzero(np.abs(caller.heard.audio().astype(int)) > 1000)[0] / FRAME
    assert frame <= heard_frame <= frame + 1
    assert turn.cut_in_ms is None
    assert (turn.user, turn.agent) == ("I said", "You said so.")


async def test_an_agent_that_cuts_in_is_told_from_one_that_answers():
    """An answer into a pause of the caller is a cut-in, and says by how much."""
    pause = np.zeros(HZ // 2, np.int16)
    half = utterance(0.3).samples
    hesitant = speech(np.concatenate([half, pause, half]), "hesitant")
    async with Peer(wait_ms=100) as peer, Caller(peer.url) as caller:
        turn = await caller.say(hesitant)
    assert 100 < turn.cut_in_ms < 700


@pytest.mark.slow
async def test_the_greeting_is_heard_out_before_anything_is_said():
    """A greeting is not an answer."""
    async with Peer(greeting=True) as peer, Caller(peer.url) as caller:
        assert await caller.greeting() == "Hello."
        turn = await caller.say(utterance())
    assert turn.agent == "You said so."
    assert turn.sound_s > turn.said.stop_s
    assert len(peer.track.sound_frames) == 2


async def test_an_agent_that_says_nothing_is_an_error_in_time():
    """No endless wait, and the message says what was waited for."""
    async with Peer(deaf=True) as peer, Caller(peer.url) as caller:
        with pytest.raises(NoAnswer, match=r"did not answer within 0\.5 s"):
            await caller.say(utterance(), timeout_s=0.5)


async def test_a_full_server_is_busy():
    """503 says why and when to try again."""
    async with Peer(busy=True) as peer:
        with pytest.raises(Busy, match=r"all 8 lines are taken; try again in 7 s") as caught:
            await Caller(peer.url).__aenter__()
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://no-such-host.invalid"])
async def test_nobody_there_is_unreachable(url):
    """The message names the URL and says how to start a server."""
    with pytest.raises(Unreachable, match="voice-agent serve") as caught:
        await Caller(url, timeout_s=5).__aenter__()
    assert url in str(caught.value)


async def test_a_server_that_hangs_up_ends_every_wait():
    """Its own words are in the error."""
    async with Peer(deaf=True) as peer, Caller(peer.url) as caller:
        peer.hang_up("You have been silent for a while.")
        with pytest.raises(Lost, match="silent for a while"):
            await caller.say(utterance(), timeout_s=5)


async def test_nothing_is_left_after_a_call():
    """No task outlives the call, even one cancelled while it speaks."""
    async with Peer() as peer:
        before = asyncio.all_tasks()

        async def cancelled():
            async with Caller(peer.url) as caller:
                asyncio.get_running_loop().call_soon(task.cancel)
                await caller.say(utterance(5.0))

        task = asyncio.create_task(cancelled())
        with pytest.raises(asyncio.CancelledError):
            await task
        await peer.calls[0].close()
        ours = [each for each in asyncio.all_tasks() - before if "caller" in repr(each.get_coro())]
    assert not ours


@pytest.fixture
def question(tmp_path):
    path = tmp_path / "question.wav"
    soundfile.write(path, utterance().samples, HZ)
    return path


@pytest.mark.slow
async def test_call_writes_down_both_sides(tmp_path, question):
    """Lines for a person, turns as JSON, the agent's sound as a WAV with its timing."""
    lines = []
    out, report = tmp_path / "agent.wav", tmp_path / "turns.json"
    async with Peer() as peer:
        code = await call(peer.url, [question, question], out=out, json_path=report,
                          print=lines.append)  # fmt: skip
    assert code == 0
    turns = json.loads(report.read_text())["turns"]
    assert [(turn["user"], turn["agent"]) for turn in turns] == [("I said", "You said so.")] * 2
    assert all(turn["v2v_ms"] > 300 for turn in turns)
    assert "user:  I said" in lines
    assert any(line.startswith("agent: You said so.  [") for line in lines)
    heard, hz = soundfile.read(out)
    assert hz == HZ
    loud_s = np.sum(np.abs(heard) > 0.1) / HZ
    assert 1.0 < loud_s < 2.0, "two tones of a second"
    assert len(heard) / HZ > 3.0, "and the silence between them"


@pytest.mark.slow
async def test_call_exits_1_when_nobody_answers(question):
    """An unanswered file is told and remembered; the others are still played."""
    lines = []
    async with Peer(deaf=True) as peer:
        assert await call(peer.url, [question], timeout_s=0.5, print=lines.append) == 1
    assert any("did not answer" in line for line in lines)
    assert await call("http://127.0.0.1:1", [question], timeout_s=5, print=lines.append) == 1


async def test_call_exits_2_before_calling_when_a_file_is_bad(tmp_path, question):
    """Nothing is dialled for input that cannot work."""
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    lines = []
    assert await call("http://127.0.0.1:1", [question, bad], print=lines.append) == 2
    assert await call("http://127.0.0.1:1", [question], out=tmp_path / "no" / "out.wav",
                      print=lines.append) == 2  # fmt: skip
    assert "bad.wav: not a sound file" in lines[0]
    assert "there is no folder" in lines[1]
