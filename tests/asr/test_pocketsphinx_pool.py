"""Recognition in worker processes: many speakers, and workers that die."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.asr.hearing import MODEL, Listener, pool_of, silence, speech
from tests.processes import alive, gone
from voice_agent.asr.pocketsphinx_pool import RecognitionPool
from voice_agent.engines import EngineError


async def test_a_sentence_is_heard_word_by_word_and_then_as_a_whole() -> None:
    """Partial texts come while the sentence is heard, the final one when it is asked for."""
    async with pool_of(1, 1) as pool:
        listener = Listener(pool)
        listener.stream.hear(speech("what-time-do-you-open-on-sunday") + silence(100))
        await listener.decoded()
        assert "what time" in listener.partials
        assert await listener.end() == "what time do you open on sunday"


async def test_speakers_at_once_do_not_mix() -> None:
    """Two speakers of one worker and one of another each get their own words."""
    said = {
        "please-cancel-my-reservation": "please cancel my reservation",
        "what-time-do-you-open-on-sunday": "what time do you open on sunday",
        "yes": "yes",
    }
    async with pool_of(2, 2) as pool:
        heard = await asyncio.gather(
            *(Listener(pool).said(silence(200) + speech(name)) for name in said)
        )
    assert heard == list(said.values())


async def test_a_killed_worker_costs_no_word() -> None:
    """A worker is killed in the middle of an utterance; another one hears all of it again."""
    pcm = speech("what-time-do-you-open-on-sunday")
    async with pool_of(1, 2) as pool:
        first, second = Listener(pool), Listener(pool)
        first.stream.hear(pcm[: len(pcm) // 2])
        second.stream.hear(speech("please-cancel-my-reservation"))
        await first.decoded()
        (killed,) = pool.pids
        os.kill(killed, signal.SIGKILL)
        first.stream.hear(pcm[len(pcm) // 2 :])
        assert await first.end() == "what time do you open on sunday"
        assert await second.end() == "please cancel my reservation"
        assert pool.pids != [killed]


async def test_a_final_text_is_given_although_the_worker_dies_owing_it() -> None:
    """A request that was under way at the death of a worker is answered by the next one."""
    async with pool_of(2, 1) as pool:
        listener = Listener(pool)
        answer = asyncio.create_task(listener.said(speech("please-cancel-my-reservation")))
        await asyncio.sleep(0)  # the request is on its way
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert await answer == "please cancel my reservation"


async def test_workers_that_cannot_be_restarted_are_reported(tmp_path: Path) -> None:
    """The speakers of a worker that cannot be replaced hear why."""
    model = tmp_path / "model"
    model.symlink_to(MODEL)
    pool = RecognitionPool(model, workers=1, streams_per_worker=1, max_lag_s=5)
    await pool.start()
    try:
        listener = Listener(pool)
        model.unlink()
        os.kill(pool.pids[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            assert "did not start" in await listener.failures.get()
        with pytest.raises(EngineError, match="taken"):
            Listener(pool)
    finally:
        await pool.stop()


async def test_nothing_said_is_answered_with_nothing() -> None:
    """Asking without having heard anything, or silence only, gives an empty text."""
    async with pool_of(1, 1) as pool:
        listener = Listener(pool)
        assert await listener.end() == ""
        assert await listener.said(silence(600)) == ""


async def test_the_next_speaker_hears_nothing_of_the_last() -> None:
    """A place given back in mid-sentence starts anew with the next speaker."""
    async with pool_of(1, 1) as pool:
        leaving = Listener(pool)
        leaving.stream.hear(speech("please-cancel-my-reservation"))
        with pytest.raises(EngineError, match="all 1 speech recognisers are taken"):
            Listener(pool)
        leaving.stream.close()
        staying = Listener(pool)
        assert await staying.said(speech("what-time-do-you-open-on-sunday")) == (
            "what time do you open on sunday"
        )
        assert leaving.partials == []


async def test_audio_nobody_can_keep_up_with_is_dropped_and_counted() -> None:
    """What waits for a busy worker is bounded; the oldest goes first, and it shows."""
    pool = RecognitionPool(MODEL, workers=1, streams_per_worker=1, max_lag_s=1)
    await pool.start()
    try:
        listener = Listener(pool)
        listener.stream.hear(silence(60_000))
        assert listener.stream.dropped_bytes > 0
        assert listener.stream.lag_s < 4
    finally:
        await pool.stop()


async def test_after_stop_no_worker_is_left() -> None:
    """Every process is gone when stop returns, also with an utterance under way."""
    pool = RecognitionPool(MODEL, workers=2, streams_per_worker=1, max_lag_s=5)
    await pool.start()
    pids = pool.pids
    Listener(pool).stream.hear(speech("please-cancel-my-reservation"))
    await pool.stop()
    assert not [pid for pid in pids if alive(pid)]


async def test_workers_do_not_outlive_a_killed_server() -> None:
    """A server that is killed cannot stop its workers; they see their pipe end."""
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from voice_agent.asr.pocketsphinx_pool import RecognitionPool\n"
        "async def main():\n"
        "    pool = RecognitionPool(Path(sys.argv[1]), 2, 1, 5)\n"
        "    await pool.start()\n"
        "    print(*pool.pids, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(MODEL)), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    async with asyncio.timeout(60):
        pids = [int(pid) for pid in (await server.stdout.readline()).split()]
    assert len(pids) == 2
    server.kill()
    await server.wait()
    await gone(pids)


async def test_a_model_that_cannot_be_loaded_fails_the_start(tmp_path: Path) -> None:
    """A broken model is an error that names the command to look closer with."""
    (tmp_path / "decoder.json").write_text('{"lm": "missing.lm.bin"}')
    pool = RecognitionPool(tmp_path, workers=2, streams_per_worker=1, max_lag_s=5)
    with pytest.raises(EngineError, match="did not start"):
        await pool.start()
    assert pool.pids == []
