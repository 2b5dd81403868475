"""The dashboard over invented turns: great numbers, troubles, looks and keys."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.trace.test_store import writing
from tests.web.made_turns import made_turns, write
from tests.web.traced import TracedServer
from voice_agent.trace.model import Run, Turn

expect.set_options(timeout=30_000)  # the process that reads is a modest one

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TURNS = 1200
VIEWS = ["", "?view=sessions", "?view=latency", "?view=compare"]


@pytest.fixture(scope="module")
def many() -> list[Turn]:
    return made_turns(TURNS, now=time.time())


@pytest.fixture(scope="module")
def written(many: list[Turn], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "traces.db"
    write(path, many)
    return path


@pytest.fixture
def file(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may add to."""
    return Path(shutil.copy(written, tmp_path))


Serve = Callable[..., TracedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a file of traces: `serve(file, token="...")`."""
    running: list[TracedServer] = []

    def start(file: Path, **settings: object) -> TracedServer:
        running.append(TracedServer(file, **settings))
        running[-1].start()
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def traces(written: Path) -> Iterator[TracedServer]:
    """For tests that only look."""
    server = TracedServer(written)
    server.start()
    yield server
    server.stop()


Look = Callable[..., Page]


@pytest.fixture
def look(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Look]:
    """Open the dashboard: `look("?view=latency", color_scheme="dark", on=server)`."""
    contexts = []

    def open_page(query: str = "", *, on: TracedServer | None = None, **options: object) -> Page:
        server = on or request.getfixturevalue("traces")
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.goto(server.url + query)
        settled(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


def settled(page: Page) -> None:
    expect(page.locator("#content")).to_have_attribute("aria-busy", "false")


def rows(page: Page) -> Locator:
    return page.locator(".turns tbody tr:not(.spacer)")


def newest(turns: list[Turn], **wanted: object) -> Turn:
    """The newest turn that has these values."""
    return next(t for t in reversed(turns) if all(getattr(t, k) == v for k, v in wanted.items()))


def test_nothing_is_fetched_from_elsewhere(
    look: Look, traces: TracedServer, many: list[Turn]
) -> None:
    """Every view asks the page's own server alone, and nothing fails."""
    page = look()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text))
    for query in [*VIEWS, f"?turn={many[-1].id}"]:
        page.goto(traces.url + query)
        settled(page)
    origin = traces.url.removesuffix("traces/")
    assert asked
    assert [url for url in asked if not url.startswith(origin)] == []
    assert wrong == []


def test_the_list_says_how_long_where_and_whose_fault(look: Look, many: list[Turn]) -> None:
    """A missed turn names the guilty stage; a bar has a piece for each wait, with its words."""
    missed = newest(many, verdict="missed", kind="answered")
    page = look(f"?session={missed.session}&verdict=missed&kind=answered")
    row = rows(page).first
    expect(row).to_contain_text(f"{missed.v2v_ms:.0f}\u00a0ms")
    expect(row.locator(".chip")).to_contain_text("over budget")
    expect(row.locator(".mini i")).to_have_count(len(missed.segments))
    expect(row.locator(".mini")).to_have_attribute("aria-label", re.compile("end of turn|first"))


def test_filters_live_in_the_address(look: Look, many: list[Turn]) -> None:
    """What is chosen is asked of the server, survives a reload, and goes with the Back button."""
    page = look()
    expect(page.locator(".tile").first).to_contain_text(f"{TURNS:,}")
    page.get_by_label("Verdict").select_option("missed")
    settled(page)
    page.get_by_label("Kind").select_option("typed")
    settled(page)
    wanted = [turn for turn in many if turn.verdict == "missed" and turn.kind == "typed"]
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


def test_the_slowest_come_first_when_asked(look: Look, many: list[Turn]) -> None:
    """The order is the server's, over all turns, not only those loaded."""
    page = look()
    page.get_by_label("Order").select_option("slowest")
    settled(page)
    slowest = max(turn.v2v_ms or 0.0 for turn in many)
    expect(rows(page).first).to_contain_text(f"{slowest:,.0f}\u00a0ms")


def test_a_long_list_stays_light(look: Look) -> None:
    """Scrolling loads page after page while the document holds no more than a screenful."""
    page = look()
    for _ in range(30):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.evaluate("new Promise(requestAnimationFrame)")
    last = page.locator(f'.turns tr[aria-rowindex="{TURNS + 1}"]')
    deadline = time.monotonic() + 60
    while not last.count() and time.monotonic() < deadline:
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.evaluate("new Promise(requestAnimationFrame)")
    expect(last).to_be_visible()
    assert page.evaluate("document.querySelectorAll('*').length") < 1500
    expect(page.locator(".turns")).to_have_attribute("aria-rowcount", str(TURNS + 1))


def test_a_turn_appears_as_it_is_given(
    look: Look, serve: Serve, file: Path, many: list[Turn]
) -> None:
    """At the top it slips in; further down it is announced instead, so that nothing moves."""
    traces = serve(file)
    page = look(on=traces)
    expect(page.locator("#live")).to_have_text("Live")
    new = replace(newest(many, kind="answered"), id="new-1", session="new", turn=1)
    new = replace(new, started_at=time.time())
    traces.publish(new)
    expect(rows(page).first).to_contain_text("new · 1")
    page.evaluate("scrollTo(0, 4000)")
    later = replace(new, id="new-2", turn=2, started_at=time.time() + 1)
    traces.publish(later)
    page.get_by_role("button", name="Show 1 new turn").click()
    expect(rows(page).first).to_contain_text("new · 2")
    traces.publish(replace(later, v2v_ms=777.0))
    expect(rows(page).first).to_contain_text("777\u00a0ms")
    expect(page.locator('.turns tr a[href="?turn=new-2"]')).to_have_count(1)


def test_a_turn_has_an_address_and_neighbours(
    look: Look, traces: TracedServer, many: list[Turn]
) -> None:
    """From the list to a turn, on by key, back to the list as it was."""
    turn = newest(many, turn=1)
    page = look(f"?session={turn.session}")
    page.click(f'a[href="?turn={turn.id}"]')
    expect(page.locator(".turn-head h2")).to_contain_text("ms")
    assert page.url == f"{traces.url}?turn={turn.id}"
    expect(page.locator('a[data-key="j"]')).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".facts")).to_contain_text("Turn 2,")
    expect(page.locator('a[data-key="k"]')).to_be_visible()
    page.keyboard.press("k")
    expect(page.locator(".facts")).to_contain_text("Turn 1,")
    page.get_by_role("link", name="Turns", exact=True).click()
    expect(page.locator(".extras")).to_contain_text("session")


def test_a_waterfall_is_walked_through_by_keyboard(look: Look, many: list[Turn]) -> None:
    """One stop of Tab; arrows go along and between rows; each thing explains itself."""
    turn = newest(many, kind="interrupted", revision=1)
    page = look(f"?turn={turn.id}")
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


def test_a_waterfall_is_enlarged_by_drawing_over_it(look: Look, many: list[Turn]) -> None:
    """A stretch drawn with the mouse fills the axis; a button brings the whole turn back."""
    turn = newest(many, kind="answered", revision=2)
    page = look(f"?turn={turn.id}")
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


def test_what_was_cut_off_is_told_apart(look: Look, many: list[Turn]) -> None:
    """Of an interrupted answer, the words that nobody heard are struck out."""
    turn = newest(many, kind="interrupted")
    page = look(f"?turn={turn.id}")
    assert turn.words is not None
    cut = turn.words.agent.removeprefix(turn.words.heard).strip()
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


def test_a_lost_server_is_told_and_found_again(
    look: Look, serve: Serve, file: Path, many: list[Turn]
) -> None:
    """What was loaded stays; when the server is back, what was missed is there."""
    traces = serve(file)
    page = look(on=traces)
    traces.stop()
    expect(page.locator("#error")).to_contain_text("The server does not answer")
    expect(page.locator("#live")).to_have_text("Reconnecting")
    expect(rows(page).first).to_be_visible()
    missed = replace(newest(many, kind="answered"), id="missed-1", session="missed", turn=1)
    with writing(traces.file, run=Run("another", "embedded", "0.1.0", time.time())) as store:
        store.turn(replace(missed, started_at=time.time()))
    traces.start()
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#error")).to_be_empty()
    expect(rows(page).first).to_contain_text("missed · 1")


def test_the_first_run_says_what_to_do(serve: Serve, look: Look, tmp_path: Path) -> None:
    """Without a turn: a link to the talk page, and a command."""
    page = look(on=serve(tmp_path / "new.db"))
    expect(page.locator(".nothing")).to_contain_text("voice-agent call")
    expect(page.get_by_role("link", name="Talk to the agent")).to_have_attribute("href", "../")
    page = look("?view=compare", on=serve(tmp_path / "new.db"))
    expect(page.locator(".nothing")).to_contain_text("only one run")


def test_filters_that_leave_nothing_have_a_way_out(look: Look) -> None:
    """An empty list says that the filters made it so."""
    page = look("?session=nobody")
    page.get_by_role("link", name="Take the filters away").click()
    expect(rows(page).first).to_be_visible()


def test_a_server_without_traces_says_so(serve: Serve, look: Look, tmp_path: Path) -> None:
    """The server's own words are shown."""
    page = look(on=serve(tmp_path / "none.db", enabled=False))
    expect(page.locator("#error")).to_contain_text("tracing is off")


def test_a_token_is_asked_for_where_one_is_needed(serve: Serve, look: Look, file: Path) -> None:
    """A wrong one is told, the right one opens everything, and is remembered."""
    page = look(on=serve(file, token="sesame"))
    page.get_by_label("This server asks for its trace token.").fill("guess")
    page.keyboard.press("Enter")
    expect(page.locator("#token-note")).to_have_text("That is not the token.")
    page.locator("#token-text").fill("sesame")
    page.keyboard.press("Enter")
    expect(rows(page).first).to_be_visible()
    expect(page.locator("#live")).to_have_text("Live")
    page.reload()
    expect(rows(page).first).to_be_visible()


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


def test_no_width_scrolls_sideways(look: Look, traces: TracedServer, many: list[Turn]) -> None:
    """From a small phone to a desktop every view fits its window."""
    turn = newest(many, verdict="missed", revision=2)
    page = look()
    for query in [*VIEWS, f"?turn={turn.id}"]:
        page.goto(traces.url + query)
        settled(page)
        for width in (320, 360, 768, 1440):
            page.set_viewport_size({"width": width, "height": 740})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, query


def test_every_control_has_a_name(look: Look, traces: TracedServer, many: list[Turn]) -> None:
    """No link, button or field is anonymous to a screen reader, in any view."""
    page = look()
    for query in [*VIEWS, f"?turn={many[-1].id}"]:
        page.goto(traces.url + query)
        settled(page)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('a, button, input, select')]
              .filter((e) => !e.closest('[hidden]'))
              .filter((e) => !(e.ariaLabel || e.labels?.length || e.textContent.trim()))
              .map((e) => e.outerHTML)"""
        )
        assert nameless == []
