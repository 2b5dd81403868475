"""The dashboard over invented turns: great numbers, troubles, looks and keys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.web.made_turns import made_turns
from tests.web.traces_stub import TracesStub

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TURNS = 1200
VIEWS = ["", "?view=sessions", "?view=latency", "?view=compare"]


@pytest.fixture(scope="module")
def many() -> list[dict[str, Any]]:
    return made_turns(TURNS, now=time.time())


@pytest.fixture
def traces(many: list[dict[str, Any]]) -> Iterator[TracesStub]:
    stub = TracesStub(many)
    stub.start()
    yield stub
    stub.stop()


Look = Callable[..., Page]


@pytest.fixture
def look(browser: Browser, traces: TracesStub) -> Iterator[Look]:
    """Open the dashboard: `look("?view=latency", color_scheme="dark", ...)`."""
    contexts = []

    def open_page(query: str = "", **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.goto(traces.url + query)
        settled(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


def settled(page: Page) -> None:
    expect(page.locator("#content")).to_have_attribute("aria-busy", "false")


def rows(page: Page) -> Locator:
    return page.locator(".turns tbody tr:not(.spacer)")


def first_of(turns: list[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    """The newest turn that has these values."""
    return next(t for t in reversed(turns) if all(t[k] == v for k, v in wanted.items()))


def test_nothing_is_fetched_from_elsewhere(look: Look, traces: TracesStub) -> None:
    """Every view asks the page's own server alone, and nothing fails."""
    page = look()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text))
    for query in [*VIEWS, f"?turn={traces.turns[-1]['id']}"]:
        page.goto(traces.url + query)
        settled(page)
    origin = traces.url.removesuffix("traces/")
    assert asked
    assert [url for url in asked if not url.startswith(origin)] == []
    assert wrong == []


def test_the_list_says_how_long_where_and_whose_fault(look: Look, traces: TracesStub) -> None:
    """A missed turn names the guilty stage; a bar has a piece for each wait, with its words."""
    missed = first_of(traces.turns, verdict="missed", kind="answered")
    page = look(f"?session={missed['session']}&verdict=missed&kind=answered")
    row = rows(page).first
    expect(row).to_contain_text(f"{missed['v2v_ms']:.0f}\u00a0ms")
    expect(row.locator(".chip")).to_contain_text("over budget")
    expect(row.locator(".mini i")).to_have_count(len(missed["segments"]))
    expect(row.locator(".mini")).to_have_attribute("aria-label", re.compile("end of turn|first"))


def test_filters_live_in_the_address(look: Look, traces: TracesStub) -> None:
    """What is chosen is asked of the server, survives a reload, and goes with the Back button."""
    page = look()
    expect(page.locator(".tile").first).to_contain_text(f"{TURNS:,}")
    page.get_by_label("Verdict").select_option("missed")
    settled(page)
    page.get_by_label("Kind").select_option("typed")
    settled(page)
    wanted = [t for t in traces.turns if t["verdict"] == "missed" and t["kind"] == "typed"]
    expect(page.locator(".tile").first).to_contain_text(str(len(wanted)))
    assert "verdict=missed" in page.url
    assert "kind=typed" in page.url
    page.reload()
    settled(page)
    expect(page.get_by_label("Kind")).to_have_value("typed")
    expect(rows(page)).to_have_count(len(wanted))
    page.go_back()
    expect(page.get_by_label("Kind")).to_have_value("")
    expect(page.get_by_label("Verdict")).to_have_value("missed")


def test_the_slowest_come_first_when_asked(look: Look, traces: TracesStub) -> None:
    """The order is the server's, over all turns, not only those loaded."""
    page = look()
    page.get_by_label("Order").select_option("slowest")
    settled(page)
    slowest = max(t["v2v_ms"] for t in traces.turns if t["v2v_ms"])
    expect(rows(page).first).to_contain_text(f"{slowest:,.0f}\u00a0ms")


def test_a_long_list_stays_light(look: Look) -> None:
    """Scrolling loads page after page while the document holds no more than a screenful."""
    page = look()
    for _ in range(30):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.evaluate("new Promise(requestAnimationFrame)")
    last = page.locator(f'.turns tr[aria-rowindex="{TURNS + 1}"]')
    deadline = time.monotonic() + 20
    while not last.count() and time.monotonic() < deadline:
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.evaluate("new Promise(requestAnimationFrame)")
    expect(last).to_be_visible()
    assert page.evaluate("document.querySelectorAll('*').length") < 1500
    expect(page.locator(".turns")).to_have_attribute("aria-rowcount", str(TURNS + 1))


def test_a_turn_appears_as_it_is_given(look: Look, traces: TracesStub) -> None:
    """At the top it slips in; further down it is announced instead, so that nothing moves."""
    page = look()
    expect(page.locator("#live")).to_have_text("Live")
    new = traces.turns[-1] | {"id": "new-1", "session": "new", "turn": 1, "started_at": time.time()}
    traces.publish(new)
    expect(rows(page).first).to_contain_text("new · 1")
    page.evaluate("scrollTo(0, 4000)")
    later = new | {"id": "new-2", "turn": 2, "started_at": time.time() + 1}
    traces.publish(later)
    page.get_by_role("button", name="Show 1 new turn").click()
    expect(rows(page).first).to_contain_text("new · 2")
    traces.publish(later | {"v2v_ms": 777.0})
    expect(rows(page).first).to_contain_text("777\u00a0ms")
    expect(page.locator('.turns tr a[href="?turn=new-2"]')).to_have_count(1)


def test_a_turn_has_an_address_and_neighbours(look: Look, traces: TracesStub) -> None:
    """From the list to a turn, on by key, back to the list as it was."""
    turn = next(t for t in reversed(traces.turns) if t["turn"] == 1)
    page = look(f"?session={turn['session']}")
    page.click(f'a[href="?turn={turn["id"]}"]')
    expect(page.locator(".turn-head h2")).to_contain_text("ms")
    assert page.url == f"{traces.url}?turn={turn['id']}"
    page.keyboard.press("j")
    expect(page.locator(".facts")).to_contain_text("Turn 2,")
    page.keyboard.press("k")
    expect(page.locator(".facts")).to_contain_text("Turn 1,")
    page.get_by_role("link", name="Turns", exact=True).click()
    expect(page.locator(".extras")).to_contain_text("session")


def test_a_waterfall_is_walked_through_by_keyboard(look: Look, traces: TracesStub) -> None:
    """One stop of Tab; arrows go along and between rows; each thing explains itself."""
    turn = first_of(traces.turns, kind="interrupted", revision=1)
    page = look(f"?turn={turn['id']}")
    expect(page.locator('.wf button[tabindex="0"]')).to_have_count(1)
    page.locator('.wf-row[data-row="llm"] .item').first.focus()
    tip = page.locator("#tip")
    expect(tip).to_contain_text("language model")
    expect(tip).to_contain_text("given up")
    page.keyboard.press("ArrowRight")
    expect(tip).to_contain_text("the guess was right")
    page.keyboard.press("ArrowDown")
    expect(tip).to_contain_text("voice synthesis")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    expect(page.locator('.wf button[tabindex="0"]')).to_have_count(1)


def test_a_waterfall_is_enlarged_by_drawing_over_it(look: Look, traces: TracesStub) -> None:
    """A stretch drawn with the mouse fills the axis; a button brings the whole turn back."""
    turn = first_of(traces.turns, kind="answered", revision=2)
    page = look(f"?turn={turn['id']}")
    axis = page.locator(".wf-axis")
    page.get_by_role("button", name="Whole turn").click()
    before = axis.locator(".tick").all_inner_texts()
    box = axis.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=5)
    page.mouse.up()
    assert axis.locator(".tick").all_inner_texts() != before
    page.get_by_role("button", name="Whole turn").click()
    assert axis.locator(".tick").all_inner_texts() == before


def test_what_was_cut_off_is_told_apart(look: Look, traces: TracesStub) -> None:
    """Of an interrupted answer, the words that nobody heard are struck out."""
    turn = first_of(traces.turns, kind="interrupted")
    page = look(f"?turn={turn['id']}")
    cut = turn["words"]["agent"].removeprefix(turn["words"]["heard"]).strip()
    expect(page.locator(".said s")).to_have_text(cut)


def test_a_stage_is_looked_at_closely(look: Look) -> None:
    """A row of the table of stages leads to its course, its spread and its worst turns."""
    page = look("?view=latency")
    page.get_by_role("link", name="end of turn", exact=True).click()
    settled(page)
    assert "stage=endpoint" in page.url
    expect(page.get_by_role("heading", name="End of turn, over time")).to_be_visible()
    expect(page.locator(".histogram i.over").first).to_be_attached()
    expect(page.get_by_role("heading", name="The slowest by end of turn")).to_be_visible()


def test_two_runs_are_compared(look: Look) -> None:
    """The last two by default; a difference is claimed only where its interval does not hold 0."""
    page = look("?view=compare")
    total = page.get_by_role("row", name="voice to voice")
    expect(total).to_contain_text("faster")
    page.get_by_label("Before").select_option("run-2")
    expect(total).to_contain_text("no difference shown")
    assert "a=run-2" in page.url


def test_a_lost_server_is_told_and_found_again(look: Look, traces: TracesStub) -> None:
    """What was loaded stays; when the server is back, what was missed is there."""
    page = look()
    traces.close_port()
    expect(page.locator("#error")).to_contain_text("The server does not answer")
    expect(page.locator("#live")).to_have_text("Reconnecting")
    expect(rows(page).first).to_be_visible()
    missed = traces.turns[-1] | {"id": "missed-1", "session": "missed", "turn": 1}
    traces.turns.append(missed | {"started_at": time.time()})
    traces.start()
    expect(page.locator("#live")).to_have_text("Live", timeout=15_000)
    expect(page.locator("#error")).to_be_empty()
    expect(rows(page).first).to_contain_text("missed · 1")


def test_the_first_run_says_what_to_do(look: Look, traces: TracesStub) -> None:
    """Without a turn: a link to the talk page and a command; with too narrow filters: a way out."""
    all_turns, traces.turns = traces.turns, []
    page = look()
    expect(page.locator(".nothing")).to_contain_text("voice-agent call")
    expect(page.get_by_role("link", name="Talk to the agent")).to_have_attribute("href", "../")
    traces.turns = all_turns
    page = look("?session=nobody")
    page.get_by_role("link", name="Take the filters away").click()
    expect(rows(page).first).to_be_visible()


def test_a_server_without_traces_says_so(look: Look, traces: TracesStub) -> None:
    """The server's own words are shown."""
    traces.refusal = (404, "tracing is off: set trace.enabled = true")
    page = look()
    expect(page.locator("#error")).to_contain_text("tracing is off")


def test_a_turn_that_is_gone_says_so(look: Look) -> None:
    """An old permalink leads to words, not to an empty page."""
    page = look("?turn=nobody-7")
    expect(page.locator("#content")).to_contain_text("No turn is called nobody-7")


def test_colours_follow_the_system(look: Look) -> None:
    """Dark where the system is dark, and the canvas with it."""
    background = "getComputedStyle(document.body).backgroundColor"
    assert look(color_scheme="dark").evaluate(background) != look(color_scheme="light").evaluate(
        background
    )


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_no_width_scrolls_sideways(look: Look, traces: TracesStub, width: int) -> None:
    """From a small phone to a desktop every view fits its window."""
    turn = first_of(traces.turns, verdict="missed", revision=2)
    page = look(viewport={"width": width, "height": 740})
    for query in [*VIEWS, f"?turn={turn['id']}"]:
        page.goto(traces.url + query)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, query


def test_every_control_has_a_name(look: Look, traces: TracesStub) -> None:
    """No link, button or field is anonymous to a screen reader, in any view."""
    for query in [*VIEWS, f"?turn={traces.turns[-1]['id']}"]:
        nameless = look(query).evaluate(
            """() => [...document.querySelectorAll('a, button, input, select')]
              .filter((e) => !e.closest('[hidden]'))
              .filter((e) => !(e.ariaLabel || e.labels?.length || e.textContent.trim()))
              .map((e) => e.outerHTML)"""
        )
        assert nameless == []
