"""The command line, as processes: what it prints and the code it leaves with."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from voice_agent.ports import bind

COMMANDS = ("serve", "call", "talk", "trace", "doctor", "pipelines", "models")
LIMIT_S = 60


def voice_agent(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voice_agent", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environ},
    )


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and its URL."""
    command = [sys.executable, "-m", "voice_agent", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"ready \d+\.\d s after the start: (\S+)$", line)
            assert found, line or (process.stderr and process.stderr.read())
            yield process, found[1]
        finally:
            if process.poll() is None:
                process.kill()


# What answers at once


def test_help_lists_the_commands_and_loads_nothing():
    """Neither Pipecat nor NumPy nor pydantic is imported to say what there is."""
    code = (
        "import sys, voice_agent.cli as c\n"
        "try: c.main(['--help'])\n"
        "except SystemExit as e: print('code', e.code)\n"
        "print([m for m in ('pipecat', 'numpy', 'pydantic', 'loguru') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "code 0\n[]" in said
    for command in COMMANDS:
        assert f"    {command}" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    """With its flags."""
    assert voice_agent(command, "--help").returncode == 0


def test_pipelines_lists_what_is_shipped():
    """Name, engines, description."""
    done = voice_agent("pipelines")
    assert done.returncode == 0
    assert re.search(r"^embedded +pocketsphinx -> llamacpp -> espeak$", done.stdout, re.M)


def test_models_lists_what_is_shipped():
    """One line a model, with its size."""
    done = voice_agent("models")
    assert done.returncode == 0
    assert re.search(r"^turn-words +\d+\.\d MB  \S", done.stdout, re.M)


# What is wrong


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "COMMAND"),
        (("srve",), "invalid choice"),
        (("serve", "--port", "seven"), "0 to 65535"),
        (("serve", "--port", "70000"), "0 to 65535"),
        (("serve", "--pipeline", "no/such.toml"), "--pipeline: no/such.toml: no such pipeline"),
        (("serve", "--set", "llm.temprature=1"), "llm.temprature: no such key"),
        (("serve", "--set", "asr.engine=ears"), "should be one of: pocketsphinx"),
        (("serve", "--set", "llm.model=nowhere.gguf"), "nowhere.gguf"),
        (("serve", "--host", "192.0.2.1", "--port", "0"), "not an address of this machine"),
        (("serve", "--insecure-dev", "--host", "0.0.0.0"), "it is for loopback addresses only"),
        (("models", "build", "smart-turn"), "models/smart-turn has no build.py"),
        (("call",), "--wav"),
        (("dial", "5550100", "--carrier", "twilio"), "'5550100' is not a number, as in +15550100"),
        (("dial", "+15550100", "--carrier", "tin-can"), "no carrier is called 'tin-can'"),
        (
            ("call", "--wav", "x.wav", "--url", "http://localhost:1", "--set", "a=1"),
            "without --url",
        ),
        (("talk", "--set", "llm.temprature=1"), "error: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_command_line_is_said_and_ends_with_2(arguments, said):
    """In words, on stderr, without a traceback."""
    done = voice_agent(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_variable_is_said():
    """The environment is checked like the rest."""
    done = voice_agent("serve", "--port", "0", VOICE_AGENT__VAD__TRESHOLD="1")
    assert done.returncode == 2
    assert "VOICE_AGENT__VAD__TRESHOLD: vad.treshold: no such key" in done.stderr


def test_a_port_in_use_is_said_before_anything_is_loaded():
    """It names the port and the flag."""
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        done = voice_agent("serve", "--port", str(port))
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr


def test_a_language_model_that_does_not_answer_is_said_before_the_port_opens():
    """The message names the address that was tried."""
    with bind("127.0.0.1", 0) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        done = voice_agent("serve", "--port=0", "--pipeline=openai", f"--set=llm.base_url={url}")
    assert done.returncode == 2
    assert url in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_that_cannot_be_played_is_said(tmp_path: Path):
    """`call` checks its files before it calls anybody."""
    text = tmp_path / "text.wav"
    text.write_text("hello")
    done = voice_agent("call", "--url", "http://127.0.0.1:1", "--wav", str(text))
    assert done.returncode == 2
    assert str(text) in done.stdout + done.stderr


def test_a_file_is_checked_before_a_server_is_started(tmp_path: Path):
    """Nobody waits for engines to load to hear of a wrong path."""
    done = voice_agent("call", "--wav", str(tmp_path / "nothing.wav"), "--pipeline", "none")
    assert done.returncode == 2
    assert "nothing.wav" in done.stderr
    assert "--pipeline" not in done.stderr


def test_calling_nobody_is_said(tmp_path: Path, one_second: Path):
    """Nobody listens at the URL: 1, and it is named."""
    done = voice_agent("call", "--url", "http://127.0.0.1:1", "--wav", str(one_second))
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stdout + done.stderr


@pytest.fixture
def one_second(tmp_path: Path) -> Path:
    import wave

    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(16_000)
        wav.writeframes(b"\x00\x40\x00\xc0" * 8_000)
    return path


# Serving


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_its_url_serves_the_page_and_ends_politely(number):
    """One line when ready, nothing else; a signal ends it with 0 and leaves no process behind."""
    with serving() as (process, url):
        with urllib.request.urlopen(url) as page:
            assert b"<html" in page.read()
        with urllib.request.urlopen(f"{url}/api/health") as answer:
            assert json.load(answer)["ready"] is True
        children = _children(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert (out, err) == ("", "")
    assert children, "speech recognition runs in processes of its own"
    assert not [pid for pid in children if Path(f"/proc/{pid}/cmdline").exists()]


@pytest.mark.slow
def test_a_signal_while_loading_ends_it_too():
    """Before it is ready there is nothing to finish."""
    command = [sys.executable, "-m", "voice_agent", "serve", "--port", "0", "-v"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while not _children(process.pid) and process.poll() is None:
            os.sched_yield()
        process.terminate()
        process.communicate(timeout=LIMIT_S)
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_tls_brings_a_certificate_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """For microphones in the network: https, for this machine's names, the same after a restart."""
    import ssl

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    seen = []
    for _ in range(2):
        with serving("--tls") as (process, url):
            assert url.startswith("https://")
            pem = tmp_path / "voice-agent" / "tls-certificate.pem"
            with urllib.request.urlopen(
                f"{url}/api/health", context=ssl.create_default_context(cafile=str(pem))
            ) as answer:
                assert json.load(answer)["ready"] is True
            seen.append(pem.read_bytes())
            process.terminate()
            process.wait(LIMIT_S)
    assert seen[0] == seen[1]
    key = tmp_path / "voice-agent" / "tls-key.pem"
    assert key.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_doctor_finds_this_machine_fit():
    """Everything a call needs is ok here, each check with a verdict and what to do."""
    done = voice_agent("doctor", "--json", "--set", "server.port=0")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    for name in ("pipeline", "asr", "llm", "tts", "turn models", "webrtc", "page", "port"):
        assert checks[name]["status"] == "ok", checks[name]
    assert all(check["todo"] for check in checks.values() if check["status"] != "ok")


@pytest.mark.slow
def test_doctor_says_what_does_not_work_and_goes_on():
    """A broken pipeline is a fail; what does not depend on it is examined all the same."""
    done = voice_agent("doctor", "--json", "--set", "llm.model=nowhere.gguf")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 1
    assert checks["llm"]["status"] == "fail"
    assert "nowhere.gguf" in checks["llm"]["found"]
    assert checks["webrtc"]["status"] == "ok"


def test_a_closed_port_is_not_found_open():
    """The stand-in for "nobody listens" is honest: port 1 refuses."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 1), timeout=5)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    try:
        return [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []
