"""The page before and around a call: troubles, looks, keyboard, and what it fetches."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Visit
from tests.web.stub import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BUSY = (503, {"Retry-After": "60"}, {"error": "All 4 lines are in use."})


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_nothing_is_fetched_from_elsewhere(visit: Visit, server: StubServer) -> None:
    """From loading to a call, every request goes to the page's own server, and none fails."""
    page = visit()
    page.wait_for_load_state("networkidle")  # reloading would cut off what is still loading
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text))
    page.reload()
    page.click("#connect")
    expect(page.locator("html")).to_have_attribute("data-connected", "true", timeout=15_000)
    assert asked
    assert [url for url in asked if not url.startswith(server.url)] == []
    assert wrong == []


def test_idle_offers_a_call_and_a_message(visit: Visit) -> None:
    """One button to talk, one field to type; nothing of a call yet."""
    page = visit()
    expect(page.locator("#connect")).to_be_visible()
    expect(page.locator("#state")).to_have_text("Ready")
    expect(page.locator("#send")).to_be_disabled()
    for hidden in ("#hangup", "#mute", "#latency"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator("#error")).to_be_empty()


def test_a_busy_server_is_told_politely_and_tried_again(visit: Visit, server: StubServer) -> None:
    """503 shows the server's words and a countdown; the wait can be cut short or given up."""
    server.refusal = BUSY
    page = visit()
    page.click("#connect")
    error = page.locator("#error")
    expect(error).to_contain_text("All lines are busy")
    expect(error).to_contain_text("All 4 lines are in use.")
    expect(error).to_contain_text("Trying again in")
    expect(page.locator("#state")).to_have_attribute("data-state", "busy")
    assert len(server.offers) == 1
    page.click("#hangup")
    expect(error).to_be_empty()
    page.click("#connect")
    expect(error).to_contain_text("All lines are busy")
    server.refusal = None
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("html")).to_have_attribute("data-connected", "true", timeout=15_000)
    expect(error).to_be_empty()


def test_a_refused_call_says_why(visit: Visit, server: StubServer) -> None:
    """A 4xx is not tried again; the server's words are shown."""
    server.refusal = (422, {}, {"error": "This offer has no audio."})
    page = visit()
    page.click("#connect")
    expect(page.locator("#error")).to_contain_text("This offer has no audio.")
    expect(page.locator("#connect")).to_be_visible()


def test_a_server_that_does_not_answer_is_named(visit: Visit) -> None:
    """A network failure on the first try ends in a clear message, not in silence."""
    page = visit()
    page.route("**/api/offer", lambda route: route.abort())
    page.click("#connect")
    expect(page.locator("#error")).to_contain_text("The server does not answer")


def test_an_address_without_https_explains_the_missing_microphone(
    visit: Visit, server: StubServer
) -> None:
    """On http:// elsewhere than localhost the reason is said at once, and typing still works."""
    page = visit(microphone=False, host="voice.test")
    expect(page.locator("#error")).to_contain_text("No microphone on this address")
    expect(page.locator("#error")).to_contain_text("http://localhost:")
    page.fill("#text", "Hello")
    page.press("#text", "Enter")
    assert server.heard("send-text")["data"]["content"] == "Hello"


def test_colours_follow_the_system_and_the_button(visit: Visit) -> None:
    """Dark where the system is dark; the button goes round and the choice is remembered."""
    page = visit(color_scheme="dark")
    dark = background(page)
    page.click("#theme")
    expect(page.locator("#theme")).to_have_attribute("aria-label", "Colours: light")
    light = background(page)
    assert light != dark
    page.reload()
    assert background(page) == light
    page.click("#theme")
    assert background(page) == dark


def test_everything_is_reached_and_worked_by_keyboard(visit: Visit) -> None:
    """Tab goes through the page in reading order; a call starts and ends without a mouse."""
    page = visit()
    order = []
    for _ in range(7):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert order == ["skip", "traces", "open-audio", "theme", "connect", "transcript", "text"]
    page.focus("#connect")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-connected", "true", timeout=15_000)
    expect(page.locator("#hangup")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#connect")).to_be_focused()


def test_devices_can_be_chosen_and_tried(visit: Visit) -> None:
    """The dialog lists the devices, moves the level, and gives the focus back when it closes."""
    page = visit()
    page.focus("#open-audio")
    page.keyboard.press("Enter")
    expect(page.locator("#mic-choice option")).not_to_have_count(1)
    expect(page.locator("#speaker-choice option")).not_to_have_count(1)
    expect(page.locator("#mic-test")).not_to_have_attribute("aria-valuenow", "0")
    page.select_option("#mic-choice", index=1)
    chosen = page.input_value("#mic-choice")
    page.keyboard.press("Escape")
    expect(page.locator("#open-audio")).to_be_focused()
    page.reload()
    page.click("#open-audio")
    expect(page.locator("#mic-choice")).to_have_value(chosen)


def test_every_control_has_a_name(visit: Visit) -> None:
    """No button, field or meter is anonymous to a screen reader."""
    page = visit()
    page.click("#open-audio")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, [role=meter]')]
          .filter((e) => !(e.ariaLabel || e.labels?.length || e.textContent.trim()))
          .map((e) => e.id)"""
    )
    assert nameless == []


def test_reduced_motion_keeps_the_orb_still(visit: Visit) -> None:
    """With the system's wish for less motion nothing is animated."""
    page = visit(reduced_motion="reduce")
    assert page.evaluate("document.getAnimations().length") == 0
    assert visit().evaluate("document.getAnimations().length") > 0


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_width_scrolls_sideways(visit: Visit, width: int) -> None:
    """From a small phone to a desktop the page fits its window."""
    page = visit(viewport={"width": width, "height": 720})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(page.locator("#connect")).to_be_in_viewport()
    expect(page.locator("#text")).to_be_in_viewport()
