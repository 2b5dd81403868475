"""A call as the page shows it: words, state, latency, typing, and a connection that breaks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Visit
from tests.web.stub import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def connected(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("data-connected", "true", timeout=15_000)


@pytest.fixture
def call(visit: Visit) -> Page:
    page = visit()
    page.click("#connect")
    connected(page)
    return page


def test_words_of_both_sides_appear_as_they_are_spoken(call: Page, server: StubServer) -> None:
    """Partials replace each other, the agent's words add up, and both become final."""
    line = call.locator("#transcript li")
    server.say("user-transcription", text="what time", final=False, user_id="", timestamp="")
    expect(line).to_have_attribute("data-final", "false")
    server.say("user-transcription", text="what time do", final=False, user_id="", timestamp="")
    expect(line.locator(".text")).to_have_text("what time do")
    server.tell("user-turn", turn=1, text="What time do you open?")
    expect(line).to_have_attribute("data-final", "true")
    for word in ("We", "open", "at", "noon."):
        server.say("bot-tts-text", text=word)
    agent = call.locator('#transcript li[data-role="agent"]')
    expect(agent.locator(".text")).to_have_text("We open at noon.")
    expect(agent).to_have_attribute("data-final", "false")
    server.tell("agent-turn", turn=1, text="We open at noon.", interrupted=False)
    expect(agent).to_have_attribute("data-final", "true")
    expect(call.locator("#transcript .text")).to_have_text(
        ["What time do you open?", "We open at noon."]
    )


def test_an_interrupted_answer_keeps_only_what_was_heard(call: Page, server: StubServer) -> None:
    """The line is corrected to the heard words and marked as cut off."""
    for word in ("Our", "menu", "has", "pasta"):
        server.say("bot-tts-text", text=word)
    server.tell("state", state="interrupted")
    server.tell("agent-turn", turn=1, text="Our menu", interrupted=True)
    agent = call.locator('#transcript li[data-role="agent"]')
    expect(agent.locator(".text")).to_have_text("Our menu")
    expect(agent).to_have_attribute("data-interrupted", "true")
    expect(agent.locator(".cut")).to_be_visible()


def test_state_agent_and_latency_are_shown(call: Page, server: StubServer) -> None:
    """The state follows the server; the latency comes with its segments and their names."""
    state = call.locator("#state")
    expect(state).to_have_attribute("data-state", "listening")
    expect(call.locator("h1")).to_have_text("Bella Notte")
    for name, label in (("thinking", "Thinking"), ("speaking", "Speaking")):
        server.tell("state", state=name)
        expect(state).to_have_text(label)
    expect(call.locator("#latency")).to_be_hidden()
    segments = [{"name": "endpoint", "ms": 120}, {"name": "new_stage", "ms": 292}]
    server.tell("latency", turn=1, id="c-7-1", v2v_ms=412, segments=segments)
    expect(call.locator("#latency")).to_have_text("412 ms")
    expect(call.locator("#latency-turn")).to_have_attribute("href", "traces/?turn=c-7-1")
    expect(call.locator("#latency-parts dt")).to_have_text(["end of turn", "new stage"])
    expect(call.locator("#latency-parts dd")).to_have_text(["120 ms", "292 ms"])


def test_the_microphone_can_be_muted_and_the_server_knows(call: Page, server: StubServer) -> None:
    """The pressed state is told to assistive technology, and the track's state to the server."""
    mute = call.locator("#mute")
    expect(mute).to_have_attribute("aria-pressed", "false")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "true")
    while True:
        message = server.heard("signalling")["message"]
        if message["receiver_index"] == 0 and not message["enabled"]:
            break
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "false")


def test_the_agent_is_really_received(call: Page) -> None:
    """Packets of the agent's track arrive; the test hook counts them."""
    call.wait_for_function("async () => (await voiceAgent.received()).packets > 10")


def test_a_lost_connection_is_remade_and_the_conversation_goes_on(
    call: Page, server: StubServer
) -> None:
    """The new offer names the old conversation, and what was said stays on the page."""
    server.tell("user-turn", turn=1, text="A table for two")
    server.refusal = (500, {}, {})
    server.drop()
    expect(call.locator("#error")).to_contain_text("Connection lost")
    expect(call.locator("#state")).to_have_text("Reconnecting")
    server.refusal = None
    connected(call)
    assert server.offers[-1]["requestData"] == {"conversation": "c-7"}
    assert "requestData" not in server.offers[0]
    expect(call.locator("#transcript .text")).to_have_text(["A table for two"])
    expect(call.locator("#error")).to_be_empty()


def test_a_goodbye_is_shown_and_not_followed_by_a_new_call(call: Page, server: StubServer) -> None:
    """When the server hangs up with a word, that word stays and nobody calls back."""
    server.tell("goodbye", reason="idle", text="Nobody seems to be there. Goodbye!")
    note = call.locator('#transcript li[data-role="note"]')
    expect(note).to_have_text("Nobody seems to be there. Goodbye!")
    server.drop()
    expect(call.locator("#connect")).to_be_visible()
    expect(call.locator("#error")).to_be_empty()
    assert len(server.offers) == 1


def test_hanging_up_tells_the_server(call: Page, server: StubServer) -> None:
    """The page says so before it goes, and a second call is a new conversation."""
    call.click("#hangup")
    server.heard("disconnect-bot")
    expect(call.locator("html")).to_have_attribute("data-connected", "false")
    call.click("#connect")
    connected(call)
    assert "requestData" not in server.offers[-1]


def test_typing_works_without_any_microphone(visit: Visit, server: StubServer) -> None:
    """Sending a first message starts the call by itself, and asks for no permission."""
    page = visit(microphone=False)
    page.fill("#text", "Are you open on Sunday?")
    page.press("#text", "Enter")
    connected(page)
    message = server.heard("send-text")
    assert message["data"]["content"] == "Are you open on Sunday?"
    server.tell("user-turn", turn=1, text="Are you open on Sunday?")
    server.say("bot-tts-text", text="Yes.")
    expect(page.locator("#transcript .text")).to_have_text(["Are you open on Sunday?", "Yes."])
    expect(page.locator("#error")).to_be_empty()
    expect(page.locator("#mute")).to_contain_text("Use microphone")


def test_a_denied_microphone_is_explained_and_the_call_goes_on_typed(
    visit: Visit, server: StubServer
) -> None:
    """What to click is said, and the call connects without a microphone."""
    page = visit(microphone=False)
    page.click("#connect")
    expect(page.locator("#error")).to_contain_text("The microphone is blocked")
    expect(page.locator("#error")).to_contain_text("set Microphone to Allow")
    connected(page)
    page.fill("#text", "Hello")
    page.click("#send")
    assert server.heard("send-text")["data"]["content"] == "Hello"
