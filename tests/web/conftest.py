"""A real Chromium in front of the built page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.web.stub import StubServer

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--host-resolver-rules=MAP voice.test 127.0.0.1",
]


def chromium() -> str | None:
    """The browser to use, if this machine has one."""
    named = os.environ.get("CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


# Not session-scoped: while Playwright runs, its event loop occupies the thread that other tests'
# loops need.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    if chromium() is None:
        pytest.skip("no Chromium: install Debian's `chromium`, or set CHROMIUM=/path/to/it")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
    yield opened
    opened.close()


@pytest.fixture
def server() -> Iterator[StubServer]:
    stub = StubServer()
    stub.start()
    yield stub
    stub.stop()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, server: StubServer) -> Iterator[Visit]:
    """Open the page: `visit(microphone=False, host="voice.test", color_scheme="dark", ...)`."""
    contexts = []

    def open_page(*, microphone: bool = True, host: str = "localhost", **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(10_000)
        if microphone:
            context.grant_permissions(["microphone"])
        page = context.new_page()
        page.goto(server.url.replace("localhost", host))
        return page

    yield open_page
    for context in contexts:
        context.close()
