"""Any sound file becomes speech to play, or a message that says what is wrong with it."""

import wave

import numpy as np
import pytest
import soundfile

from voice_agent.load.errors import WavError
from voice_agent.load.wav import HZ, read_wav, voice_span_ms, write_wav


def tone(hz, seconds, level=0.3):
    return level * np.sin(2 * np.pi * 440 * np.arange(int(hz * seconds)) / hz)


def voice_with_silence(hz):
    """200 ms of silence, 500 ms of tone, 300 ms of silence."""
    return np.concatenate([np.zeros(hz // 5), tone(hz, 0.5), np.zeros(hz * 3 // 10)])


@pytest.mark.parametrize(
    ("hz", "channels", "subtype"),
    [
        (16_000, 1, "PCM_16"),
        (44_100, 2, "PCM_16"),
        (8_000, 1, "PCM_U8"),
        (48_000, 1, "FLOAT"),
        (22_050, 2, "PCM_24"),
        (8_000, 1, "ULAW"),
    ],
)
def test_every_kind_of_wav_becomes_48_khz_mono(tmp_path, hz, channels, subtype):
    """Rate, width and channels do not matter; the voice stays where it was."""
    path = tmp_path / "question.wav"
    soundfile.write(path, np.stack([voice_with_silence(hz)] * channels, axis=1), hz, subtype)
    speech = read_wav(path)
    assert speech.samples.dtype == np.int16
    assert len(speech.samples) == pytest.approx(HZ, abs=HZ // 1000)
    assert speech.start_ms == pytest.approx(200, abs=10)
    assert speech.end_ms == pytest.approx(700, abs=10)


def test_what_is_written_is_read_back(tmp_path):
    """A written WAV is one that the standard library understands, sample for sample."""
    samples = (tone(HZ, 0.1) * 32768).astype(np.int16)
    write_wav(tmp_path / "out.wav", samples)
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, HZ, 2)
        assert file.readframes(HZ) == samples.tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is not a sound", "not a sound file"),
        (b"", "not a sound file"),
        (b"RIFF\x00\x00\x00\x00WAVE", "not a sound file"),
    ],
)
def test_a_file_that_is_no_sound_is_named(tmp_path, content, message):
    """The message names the file and says what to do."""
    path = tmp_path / "question.wav"
    path.write_bytes(content)
    with pytest.raises(WavError, match=message) as caught:
        read_wav(path)
    assert str(path) in str(caught.value)
    assert "ffmpeg" in str(caught.value)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0), "no audio at all"),
        (np.zeros(16_000), "nothing above -50 dBFS"),
        (tone(16_000, 1.0, level=0.001), "nothing above -50 dBFS"),
        (tone(16_000, 130), "130 s long"),
    ],
)
def test_a_sound_without_use_is_refused(tmp_path, samples, message):
    """Empty, silent, too quiet and too long each have a message of their own."""
    path = tmp_path / "question.wav"
    soundfile.write(path, samples, 16_000)
    with pytest.raises(WavError, match=message):
        read_wav(path)


def test_a_missing_file_is_named(tmp_path):
    """No such file."""
    with pytest.raises(WavError, match="no such file"):
        read_wav(tmp_path / "question.wav")


def test_a_known_end_must_lie_in_the_sound(tmp_path):
    """An index that claims an end outside the file is wrong, and says so."""
    path = tmp_path / "question.wav"
    soundfile.write(path, voice_with_silence(16_000), 16_000)
    assert read_wav(path, end_ms=690).end_ms == 690
    with pytest.raises(WavError, match="cannot end at 2000 ms"):
        read_wav(path, end_ms=2000)


def test_trailing_noise_38_db_below_the_voice_is_not_voice():
    """The end is where the voice ends, not where the hiss does."""
    loud, hiss = tone(HZ, 0.5, level=0.9), tone(HZ, 0.5, level=0.9 * 10 ** (-45 / 20))
    samples = (np.concatenate([loud, hiss]) * 32767).astype(np.int16)
    assert voice_span_ms(samples) == (0.0, 500.0)
