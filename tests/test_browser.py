"""The whole chain in a real Chromium: a microphone that plays a file, the page, the agent."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.running import FIXTURES, Server
from tests.web.conftest import FLAGS
from voice_agent.asr.pocketsphinx import transcribe
from voice_agent.load.wav import HZ, read_wav

expect.set_options(timeout=30_000)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUESTION = "what-time-do-you-open-on-sunday"
BOOKING = "a-table-for-four-tomorrow-at-seven"
BEFORE_S, BETWEEN_S = 6.0, 8.0
"""Time for the greeting and for the first answer, with room for a busy machine."""

RECORD = """() => {
    const recorder = new MediaRecorder(document.querySelector("#sound").srcObject);
    window.recorded = [];
    recorder.ondataavailable = (event) => window.recorded.push(event.data);
    recorder.start();
    window.recorder = recorder;
}"""
RECORDED = """() => new Promise((resolve) => {
    window.recorder.onstop = () => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result.split(",")[1]);
        reader.readAsDataURL(new Blob(window.recorded));
    };
    window.recorder.stop();
})"""


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears: a question, a pause, a booking, and then nothing."""

    def silence(seconds: float) -> np.ndarray:
        return np.zeros(int(HZ * seconds), np.int16)

    question, booking = (read_wav(FIXTURES / f"{name}.wav").samples for name in (QUESTION, BOOKING))
    path = tmp_path_factory.mktemp("microphone") / "caller.wav"
    heard = [silence(BEFORE_S), question, silence(BETWEEN_S), booking, silence(2.0)]
    soundfile.write(path, np.concatenate(heard), HZ)
    return path


@pytest.fixture(scope="module")
def browser(chromium: str, microphone: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()
    # Playwright's synchronous side leaves its loop as this thread's.
    asyncio.set_event_loop(None)


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open the page of a server; closed after the test."""
    contexts = []

    def open_page(url: str, *, microphone: bool = False) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        contexts.append(context)
        context.set_default_timeout(30_000)
        if microphone:
            context.grant_permissions(["microphone"])
        page = context.new_page()
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def one_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one line and stages that take no time to speak of."""
    arguments = ["--pipeline", "fixed-latency", "--set", "sessions.max=1"]
    with Server(tmp_path_factory.mktemp("one-line"), *arguments) as running:
        yield running


def connected(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("data-connected", "true", timeout=30_000)


def said(page: Page, role: str) -> Locator:
    """Lines of the transcript that one side has finished."""
    return page.locator(f'#transcript li[data-role="{role}"][data-final="true"] .text')


def type_in(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def energy(page: Page) -> float:
    return float(page.evaluate("voiceAgent.received().then((received) => received.energy)"))


def pcm_16k(webm: bytes) -> np.ndarray:
    """Decode what MediaRecorder wrote; 16 kHz mono int16."""
    resampler = av.AudioResampler("s16", "mono", 16_000)
    with av.open(io.BytesIO(webm)) as container:
        parts = [
            part.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    return np.concatenate(parts)


def test_a_spoken_question_is_answered_and_a_booking_is_made(visit: Visit, server: Server) -> None:
    """Heard, understood, said, shown and kept; every request goes to the page's own server."""
    before = server.bookings()
    asked: list[str] = []
    page = visit(server.url, microphone=True)
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.click("#connect")
    connected(page)
    page.evaluate(RECORD)
    silent = energy(page)

    user, agent = said(page, "user"), said(page, "agent")
    expect(agent.first).to_have_text("Good evening, Bella Notte, how can I help you?")
    greeted = energy(page)
    assert greeted > silent

    expect(user.first).to_have_text("what time do you open on sunday")
    expect(agent.nth(1)).to_contain_text("On Sunday we are open from noon")
    assert energy(page) > greeted
    expect(page.locator("#latency")).to_have_text(re.compile(r"^\d+ ms$"))

    expect(user.nth(1)).to_contain_text("table for four people tomorrow at seven")
    expect(agent.nth(2)).to_contain_text("I have booked a table for four people tomorrow")
    tomorrow = (date.today() + timedelta(days=1)).isoformat()
    assert server.bookings() == [*before, (4, tomorrow, "19:00")]

    booked = {word.strip(".,") for word in agent.nth(2).inner_text().lower().split()}
    said_words = {word for word in booked if len(word) > 3}
    heard_words = set(transcribe(pcm_16k(base64.b64decode(page.evaluate(RECORDED)))).split())
    page.click("#hangup")
    server.wait_until_idle()
    understood = len(said_words & heard_words) / len(said_words)
    assert understood > 0.6, f"of {said_words} the received sound has {heard_words}"
    assert asked
    assert [url for url in asked if not url.startswith(server.url)] == []


def test_typing_needs_no_microphone(visit: Visit, patterns: Server) -> None:
    """The microphone is denied: the page says what to do, and the agent answers what is typed."""
    page = visit(patterns.url)
    page.click("#connect")
    expect(page.locator("#error")).to_contain_text("The microphone is blocked")
    connected(page)
    type_in(page, "Where are you?")
    expect(said(page, "user")).to_have_text(["Where are you?"])
    agent = said(page, "agent").last
    expect(agent).to_have_text(
        "We are at twelve Garden Street, at the corner of the market square."
    )
    assert energy(page) > 0
    page.click("#hangup")
    patterns.wait_until_idle()


def test_a_conversation_outlives_its_connection(visit: Visit, patterns: Server) -> None:
    """The network is gone for a while: the page says so, comes back, and the agent remembers."""
    page = visit(patterns.url)
    type_in(page, "How much is the lasagna?")
    agent = said(page, "agent")
    expect(agent.last).to_have_text("The lasagna is thirteen euros.")
    with patterns.unreachable():
        expect(page.locator("#error")).to_contain_text("Connection lost")
        expect(page.locator("#state")).to_have_text("Reconnecting")
    connected(page)
    expect(page.locator("#error")).to_be_empty()
    answers = agent.count()
    type_in(page, "Could you repeat that?")
    expect(agent).to_have_count(answers + 1)
    expect(agent.last).to_have_text("The lasagna is thirteen euros.")
    expect(said(page, "user").first).to_have_text("How much is the lasagna?")
    assert patterns.active() == 1, "the lost connection is not kept beside the new one"


def test_a_server_that_went_away_is_called_again(visit: Visit, one_line: Server) -> None:
    """It crashes and comes back: the page says so, reconnects, and what was said stays there."""
    page = visit(one_line.url)
    type_in(page, "Hello?")
    expect(said(page, "agent")).to_have_count(1)
    one_line.kill()
    expect(page.locator("#error")).to_contain_text("Connection lost")
    one_line.start()
    connected(page)
    expect(page.locator("#error")).to_be_empty()
    type_in(page, "Still there?")
    expect(said(page, "user")).to_have_text(["Hello?", "Still there?"])
    expect(said(page, "agent")).to_have_count(2)


def test_a_busy_line_is_told_and_freed_by_hanging_up(visit: Visit, one_line: Server) -> None:
    """The second page gets a polite message, and its call as soon as the first has hung up."""
    one_line.wait_until_idle()
    first, second = visit(one_line.url), visit(one_line.url)
    type_in(first, "Hello?")
    connected(first)
    type_in(second, "Hello?")
    expect(second.locator("#error")).to_contain_text("All lines are busy")
    expect(second.locator("#error")).to_contain_text("Trying again in")
    first.click("#hangup")
    one_line.wait_until_idle()
    second.get_by_role("button", name="Try now").click()
    connected(second)
    expect(said(second, "agent")).to_have_count(1)


def test_the_end_of_the_server_is_told(visit: Visit, one_line: Server) -> None:
    """SIGTERM: the answer is heard out, the page says why the call ended, and calls nobody."""
    one_line.wait_until_idle()
    page = visit(one_line.url)
    type_in(page, "Hello?")
    expect(page.locator("#state")).to_have_text("Speaking")
    assert one_line.stop() == 0
    expect(said(page, "agent")).to_contain_text("And it ends with a third one, just as long.")
    expect(page.locator('#transcript li[data-role="note"]')).to_contain_text("shutting down")
    expect(page.locator("#connect")).to_be_visible()
    one_line.start()
