"""Reasoning is never spoken, however the stream is cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.llm.thinking import ThinkFilter

PIECES = st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", " ", "\n", "a", "b c"])
TEXTS = st.lists(PIECES, max_size=20).map("".join)


def spoken(chunks: list[str], *, starts_open: bool = False) -> str:
    think = ThinkFilter(starts_open=starts_open)
    return "".join([*(think.feed(chunk) for chunk in chunks), think.finish()])


def cut(text: str, at: list[int]) -> list[str]:
    marks = [0, *sorted(position % (len(text) + 1) for position in at), len(text)]
    return [text[a:b] for a, b in pairwise(marks)]


@given(text=TEXTS, at=st.lists(st.integers(0, 200), max_size=10), starts_open=st.booleans())
def test_any_chunking_says_the_same(text: str, at: list[int], starts_open: bool) -> None:
    """Where the stream is cut changes nothing."""
    whole = spoken([text], starts_open=starts_open)
    assert spoken(cut(text, at), starts_open=starts_open) == whole


@given(text=TEXTS, starts_open=st.booleans())
def test_it_says_what_is_outside_of_spans(text: str, starts_open: bool) -> None:
    """Apart from white space it is the text with spans and stray closing tags cut out."""
    full = ("<think>" if starts_open else "") + text
    outside = re.sub(r"<think>.*?(?:</think>|\Z)|</think>", "", full, flags=re.DOTALL)
    said = spoken([text], starts_open=starts_open)
    assert "".join(said.split()) == "".join(outside.split())


@given(text=st.text(alphabet="ab <>/.", max_size=30))
def test_other_text_passes_unchanged(text: str) -> None:
    """Without tags nothing is lost but white space at the very start."""
    assert spoken(list(text)) == text.lstrip()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (["Hello ", "<think>hm</think>", " world"], "Hello world"),
        (["Hello<think>hm</think> world"], "Hello world"),
        (["<think>\nhm\n</think>\n\nHello"], "Hello"),
        (["<think>never closed"], ""),
        (["five < six"], "five < six"),
        (["Hello </think>world"], "Hello world"),
        (["ends with <thi"], "ends with <thi"),
    ],
)
def test_examples(chunks: list[str], expected: str) -> None:
    """Spans go with the white space they would double."""
    assert spoken(chunks) == expected


def test_words_are_not_held_back() -> None:
    """Text that cannot be part of a tag is passed on in the chunk it came in."""
    think = ThinkFilter()
    assert [think.feed(c) for c in ["One", " two", " <", "b> three"]] == [
        *("One", " two", " ", "<b> three")
    ]
