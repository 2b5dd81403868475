"""What every voice must keep to, whichever engine speaks: one set of tests for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)

from tests.tts.line import Listener, line_to
from tests.tts.voices import EXACT, SPEAKING, VOICES, Make
from voice_agent.config import EngineChoice
from voice_agent.frames import SpokenWordsFrame
from voice_agent.phrases import Phrases
from voice_agent.tts.loudness import TARGET_LUFS, integrated_lufs
from voice_agent.tts.scripted import ScriptedSettings

SENTENCE = "Of course, I have a table for four people at 7:30 pm."
PASSAGE = (
    "Good evening, this is Bella Notte. We have a table for you tomorrow at eight. Would you "
    "rather sit inside, or in the garden behind the house? The kitchen closes at eleven."
)
EVERY = pytest.mark.parametrize("voice", list(VOICES), indirect=True)


@pytest.fixture
async def voice(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    async with VOICES[request.param]() as make:
        yield make


def _per_frame(heard: Listener) -> list[npt.NDArray[np.int16]]:
    return [np.frombuffer(frame.audio, np.int16) for frame in heard.all(TTSAudioRawFrame)]


@EVERY
@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000])
async def test_audio_comes_at_the_rate_of_the_transport(voice: Make, rate_hz: int) -> None:
    """Whatever that is; it begins with sound, not with silence, and nothing is clipped."""
    async with line_to(voice(rate_hz)) as line:
        heard = await line.reply(SENTENCE)
        frames = heard.all(TTSAudioRawFrame)
        assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(rate_hz, 1)}
        audio = heard.audio()
        assert 1.0 < len(audio) / rate_hz < 6.0
        assert np.abs(audio[: rate_hz // 20]).max() > 300
        assert np.abs(audio.astype(int)).max() < 32_767
        assert heard.all(ErrorFrame) == []


@EVERY
async def test_the_rate_is_converted_once_and_in_one_stream(voice: Make) -> None:
    """However many clauses: no sample is lost or added at their joints, at any rate."""
    seconds = []
    for rate_hz in (8_000, 22_050, 48_000):
        async with line_to(voice(rate_hz)) as line:
            heard = await line.reply(f"{SENTENCE} {SENTENCE} Really? Yes, yes, yes.")
            seconds.append(len(heard.audio()) / rate_hz)
    assert max(seconds) - min(seconds) < 0.02


@EVERY
async def test_the_first_audio_comes_while_the_rest_is_still_being_written(voice: Make) -> None:
    """A clause is spoken at once; nobody waits for the sentence."""
    async with line_to(voice(48_000)) as line:
        await line.begin()
        await line.tokens("Of", " course", ",")
        await line.listener.hear(TTSAudioRawFrame)
        assert line.listener.all(TTSStoppedFrame) == []
        await line.tokens(" we", " do", ".")
        await line.end()
        await line.listener.hear(TTSStoppedFrame)
        assert [text for text, _, _ in line.listener.words()] == "Of course, we do.".split()


@EVERY
async def test_it_is_an_ordinary_pipecat_service(voice: Make) -> None:
    """Started, words as text frames in order of time, audio, stopped: all of one context."""
    async with line_to(voice(48_000)) as line:
        heard = await line.reply(SENTENCE)
        kinds = (TTSStartedFrame, TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame)
        frames = [frame for frame in heard.frames if isinstance(frame, kinds)]
        assert isinstance(frames[0], TTSStartedFrame)
        assert isinstance(frames[-1], TTSStoppedFrame)
        assert len({frame.context_id for frame in frames}) == 1
        texts = heard.all(TTSTextFrame)
        assert [frame.text for frame in texts] == SENTENCE.split()
        times = [frame.pts or 0 for frame in texts]
        assert times == sorted(times)


@EVERY
async def test_words_never_go_back_and_travel_ahead_of_their_audio(voice: Make) -> None:
    """Every written word has its samples, in order, within the audio, and is told before it."""
    async with line_to(voice(48_000)) as line:
        heard = await line.reply(f"{SENTENCE} {PASSAGE}")
        words = heard.words()
        assert [text for text, _, _ in words] == f"{SENTENCE} {PASSAGE}".split()
        edges = [edge for _, start, end in words for edge in (start, end)]
        assert edges == sorted(edges)
        assert len(heard.audio()) - 12_000 < edges[-1] <= len(heard.audio()) + 48
        played = 0
        for frame in heard.frames:
            if isinstance(frame, TTSAudioRawFrame):
                played += len(frame.audio) // 2
            elif isinstance(frame, SpokenWordsFrame):
                # A resampler may be some milliseconds ahead of its own output.
                assert frame.words[0][1] >= played - 480


@pytest.mark.parametrize("voice", EXACT, indirect=True)
async def test_where_a_word_ends_its_sound_does(voice: Make) -> None:
    """Of engines that know: the breath after a comma begins where the word before it ends."""
    async with line_to(voice(48_000)) as line:
        heard = await line.reply("One potato, two potatoes, three potatoes, four.")
        audio, words = np.abs(heard.audio().astype(int)), heard.words()
        for text, start, end in words:
            assert audio[start:end].max() > 1_000, text
        for (text, _, end), (_, start, _) in pairwise(words):
            if start > end:  # a breath
                assert text.endswith(",")
                assert audio[end + 96 : start - 96].max() < 300


@EVERY
async def test_chunks_join_without_a_gap_or_a_click(voice: Make) -> None:
    """No step at a seam between two pieces is larger than the speech itself makes."""
    async with line_to(voice(48_000)) as line:
        heard = await line.reply(PASSAGE)
        pieces = [piece for piece in _per_frame(heard) if len(piece)]
        seams = [abs(int(left[-1]) - int(right[0])) for left, right in pairwise(pieces)]
        steps = np.abs(np.diff(heard.audio().astype(int)))
        assert max(seams) <= steps.max()
        silent = np.concatenate([[0], (np.abs(heard.audio()) < 60).astype(int), [0]])
        edges = np.flatnonzero(np.diff(silent))
        longest = max(edges[1::2] - edges[::2], default=0)
        assert longest < 48 * 450  # a breath between sentences; never a hole


@EVERY
async def test_after_an_interruption_at_most_20_ms_are_still_handed_on(voice: Make) -> None:
    """And nothing of the reply that was cut off comes once the next one has begun."""
    async with line_to(voice(48_000)) as line:
        await line.begin()
        await line.tokens(*(f"Sentence number {number} of many. " for number in range(100)))
        first = (await line.listener.hear(TTSAudioRawFrame))[0].context_id
        await line.interrupt()
        await line.reply("A new one.")
        frames = line.listener.frames
        cut = next(at for at, frame in enumerate(frames) if isinstance(frame, InterruptionFrame))
        late = [
            frame
            for frame in frames[cut:]
            if isinstance(frame, TTSAudioRawFrame) and frame.context_id == first
        ]
        assert sum(len(frame.audio) for frame in late) <= 2 * 48 * 20
        new = [frame for frame in line.listener.all(SpokenWordsFrame) if frame.context_id != first]
        assert new[0].words[0][:2] == ("A", 0)


@EVERY
async def test_a_clause_is_as_loud_first_as_later(voice: Make) -> None:
    """Nothing that is done to pieces (gain, resampling, joining) changes from one to the next."""
    clause = "we have a table for four people tomorrow evening"
    async with line_to(voice(48_000)) as line:
        heard = await line.reply(", ".join([clause] * 4) + ".")
        words, audio = heard.words(), heard.audio()
        count = len(clause.split())
        # The last falls in pitch, as the end of a sentence does, and is left out.
        parts = [words[at : at + count] for at in range(0, 3 * count, count)]
        levels = [integrated_lufs(audio[part[0][1] : part[-1][2]], 48_000) for part in parts]
        assert max(levels) - min(levels) < 1.0


@pytest.mark.parametrize("voice", SPEAKING, indirect=True)
@pytest.mark.parametrize("rate_hz", [8_000, 48_000])
async def test_every_voice_is_equally_loud(voice: Make, rate_hz: int) -> None:
    """Within 1 LU of the target by EBU R 128, over text that no gain was measured on."""
    async with line_to(voice(rate_hz)) as line:
        heard = await line.reply(PASSAGE)
        # A telephone's band lacks what the K-weighting lifts.
        allowed = 1.0 if rate_hz > 8_000 else 2.0
        assert abs(integrated_lufs(heard.audio(), rate_hz) - TARGET_LUFS) < allowed


@EVERY
async def test_what_is_remembered_of_a_reply_has_every_word_once(voice: Make) -> None:
    """Through the reply gate, as in a call; also when several clauses are on their way at once."""
    text = "Good evening, Bella Notte, how can I help you?"
    choice = EngineChoice("any", ScriptedSettings())
    phrases = Phrases()
    await phrases.make(choice, lambda session: voice(session.audio_out_hz), [text])
    clip = phrases.clip(choice, text, 48_000)
    assert clip is not None
    assert [word for word, _, _ in clip.words] == text.split()


@EVERY
async def test_a_text_outside_a_reply_is_spoken_and_stopped(voice: Make) -> None:
    """Pipecat's TTSSpeakFrame works, once and again."""
    async with line_to(voice(48_000)) as line:
        for count in (1, 2):
            await line.send(TTSSpeakFrame("Bella Notte, good evening."))
            await line.listener.hear(TTSStoppedFrame, count)
        words = [word for word, _, _ in line.listener.words()]
        assert words == "Bella Notte, good evening.".split() * 2
