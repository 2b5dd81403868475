"""The dashboard in a real Chromium while real calls are made on the default pipeline."""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.running import FIXTURES, Server
from tests.web.conftest import FLAGS

expect.set_options(timeout=90_000)  # a call is made meanwhile, in real time

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUESTION = FIXTURES / "what-time-do-you-open-on-sunday.wav"
BOOKING = FIXTURES / "a-table-for-four-tomorrow-at-seven.wav"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default pipeline, which keeps words and voices as well."""
    keeping = ["--set", "trace.transcripts=true", "--set", "trace.audio=true"]
    with Server(tmp_path_factory.mktemp("traced"), *keeping) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()
    # Playwright's synchronous side leaves its loop as this thread's.
    asyncio.set_event_loop(None)


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a page; closed after the test."""
    contexts = []

    def open_page(url: str) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        context.set_default_timeout(90_000)
        page = context.new_page()
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


def calling(server: Server, *says: Path) -> subprocess.Popen[bytes]:
    """A caller, under way."""
    command = [sys.executable, "-m", "voice_agent", "call", "--url", server.url]
    for wav in says:
        command += ["--wav", str(wav)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def asked(server: Server, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}/api/traces/{path}", timeout=30) as answer:
        return json.load(answer)


def test_a_call_is_followed_turn_by_turn(visit: Visit, traced: Server) -> None:
    """From the empty page on: the session, then each of its turns, then all that became of them."""
    page = visit(f"{traced.url}/traces/")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator(".nothing")).to_contain_text("No turn yet")
    sessions = visit(f"{traced.url}/traces/?view=sessions")
    call = calling(traced, QUESTION, BOOKING)
    try:
        expect(sessions.locator(".sessions")).to_contain_text("talking now")
        turns = page.locator(".turns tbody tr:not(.spacer)")
        expect(turns).to_have_count(3)
        expect(turns.locator('.kind[data-kind="open"]')).to_have_count(0)
        expect(turns.last.locator(".kind")).to_have_text("greeting")
        assert call.wait(90) == 0
    finally:
        call.kill()
    expect(sessions.locator(".sessions")).to_contain_text("hung up")
    # Where the machine is short, a turn may end before anything is heard: of the others the
    # latency is shown, and where it went.
    heard = turns.filter(has_text=re.compile(r"[1-9]\d*\sms"))
    expect(heard.first.locator(".mini i").first).to_be_attached()
    expect(heard.first).to_contain_text("embedded · webrtc")


def first_turn(server: Server) -> Any:
    """The first question that was asked aloud, whole."""
    newest_first = asked(server, "turns")["turns"]
    found = next(turn for turn in reversed(newest_first) if turn["turn"] == 1)
    return asked(server, f"turns/{found['id']}")


def test_a_turn_is_explained(visit: Visit, traced: Server) -> None:
    """What the page draws is what the trace says: waits, causes, guesses, words, neighbours."""
    turn = first_turn(traced)
    page = visit(f"{traced.url}/traces/?turn={turn['id']}")
    shown_ms = math.floor(turn["v2v_ms"] + 0.5)  # JavaScript rounds halves up, Python to even
    expect(page.locator(".turn-head h2")).to_contain_text(f"{shown_ms:,}\u00a0ms")
    assert sum(s["ms"] for s in turn["segments"]) == pytest.approx(turn["v2v_ms"], abs=1)

    causes = page.locator(".waits tbody .cause")
    expect(causes).to_have_count(len(turn["segments"]) + 1)
    for number, segment in enumerate(turn["segments"]):
        expect(causes.nth(number)).to_have_text(segment["cause"])
    total = page.locator('.wf-row[data-row="voice_to_voice"]')
    expect(total.locator(".item.segment")).to_have_count(len(turn["segments"]))
    expect(total.locator(".allowance")).to_be_visible()

    guesses = [span for span in turn["spans"] if span["outcome"] is not None]
    assert guesses, "the agent guesses"
    for outcome in {span["outcome"] for span in guesses}:
        drawn = page.locator(f'.wf-row .item[data-outcome="{outcome}"]')
        expect(drawn).to_have_count(sum(span["outcome"] == outcome for span in guesses))
    expect(page.locator('.item.event[data-event="partial"]').first).to_be_attached()

    words = turn["words"]
    assert words["user"]
    assert words["heard"]
    expect(page.locator(".said dd").nth(0)).to_have_text(words["user"])
    expect(page.locator(".said dd").nth(1)).to_contain_text(words["heard"])
    page.keyboard.press("j")
    following = asked(traced, f"turns/{turn['session']}-{turn['turn'] + 1}")
    expect(page.locator(".said dd").nth(0)).to_have_text(following["words"]["user"])
    for name in {span["name"] for span in following["spans"]}:
        expect(page.locator(f'.wf-row[data-row="{name}"]')).to_be_visible()


DRAWN = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    .data.filter((_, index) => index % 4 === 3).reduce((drawn, alpha) => drawn + (alpha > 0), 0)"""


def test_a_turn_is_heard_again(visit: Visit, traced: Server) -> None:
    """Both voices lie on the waterfall's axis; a click there plays from that moment on."""
    turn = first_turn(traced)
    page = visit(f"{traced.url}/traces/?turn={turn['id']}")
    page.get_by_role("button", name="Whole turn").click()
    for side in ("user", "agent"):
        wave = page.locator(f'.wf-track[data-row="{side}"] .wave')
        expect(wave).to_be_visible()
        assert wave.evaluate(DRAWN) > 100, f"nothing is drawn of the {side}"
    player = page.locator("audio")
    voice = next(span for span in turn["spans"] if span["name"] == "user")
    length_ms = player.evaluate("player => player.duration * 1000")
    begins_ms = turn["ended_ms"] - length_ms
    assert begins_ms < voice["start_ms"], "the recording begins before the caller's voice"
    expect(page.locator(".playhead")).to_be_hidden()
    box = page.locator(".wf-axis").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".playhead")).to_be_visible()
    assert player.evaluate("player => player.currentTime") > 0


def test_the_last_answer_leads_to_its_turn(visit: Visit, traced: Server) -> None:
    """Typed over while the agent speaks: the figure beside the call opens the turn; what was not
    heard of the answer before is struck out there."""
    page = visit(traced.url)

    def type_in(text: str) -> None:
        page.fill("#text", text)
        page.press("#text", "Enter")

    type_in("What is on the menu?")
    agent = page.locator('#transcript li[data-role="agent"]').last
    expect(agent).to_contain_text(re.compile("Our guests|We have"))
    type_in("Do you have parking?")
    cut = page.locator('#transcript li[data-interrupted="true"] .text')
    expect(cut).to_have_count(1)
    expect(agent).to_contain_text("car park")
    with page.context.expect_page() as opened:
        page.click("#latency-turn")
    turn = opened.value
    expect(turn.locator(".said dd").nth(0)).to_have_text("Do you have parking?")
    expect(turn.locator(".facts")).to_contain_text("typed")
    turn.get_by_role("link", name="Previous").click()
    expect(turn.locator(".facts")).to_contain_text("interrupted")
    expect(turn.locator(".said s")).to_be_visible()
    expect(turn.locator('.item.event[data-event="barge_in"]')).to_have_count(1)
    turn.get_by_role("link", name="Talk").click()
    expect(turn.locator("#connect")).to_be_visible()


def test_stages_are_held_against_their_budgets(visit: Visit, traced: Server) -> None:
    """The table has every stage of the pipeline's budget, and the answered turns alone."""
    stats = asked(traced, "stats")
    page = visit(f"{traced.url}/traces/?view=latency")
    rows = page.get_by_role("table", name="Percentiles of each stage").locator("tbody tr")
    expect(rows).to_have_count(len(stats["stages"]))
    total = rows.filter(has_text="voice to voice")
    expect(total.locator("td").last).to_have_text(str(stats["stages"]["voice_to_voice"]["n"]))
    expect(page.locator(".count-list")).to_have_count(2)
    expect(page.locator(".count-list").last).to_contain_text("interrupted")


def test_a_restarted_server_is_another_run(visit: Visit, traced: Server) -> None:
    """It dies in the middle of a look; the page finds it again, with all that it had kept."""
    page = visit(f"{traced.url}/traces/")
    rows = page.locator(".turns tbody tr:not(.spacer)")
    expect(rows.first).to_be_visible()
    before = rows.count()
    traced.kill()
    expect(page.locator("#error")).to_contain_text("The server does not answer")
    traced.start()
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#error")).to_be_empty()
    expect(rows).to_have_count(before)
    call = calling(traced, QUESTION)
    try:
        expect(rows).to_have_count(before + 2)
    finally:
        call.kill()
        call.wait()
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_label("After")).to_be_visible()
    # How many of so few were answered, and not cut off, is the machine's business.
    expect(page.locator("#content")).to_contain_text(re.compile("too few turns|Nothing to compare"))
