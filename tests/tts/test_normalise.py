"""Written text as it is spoken."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.tts.normalise import speakable, spoken

TABLE = [
    ("We open at 7:30 pm.", "We open at seven thirty p m."),
    ("Between 5-7pm, or at 19:05", "Between five to seven p m, or at nineteen oh five"),
    ("at 8:00 tonight", "at eight o'clock tonight"),
    ("We close at 11 p.m. See you", "We close at eleven p m. See you"),
    ("It is €12.50.", "It is twelve euros and fifty cents."),
    ("Only $8, or $1 a piece", "Only eight dollars, or one dollar a piece"),
    ("£0.99 or 12,50 €", "ninety-nine pence or twelve euros and fifty cents"),
    ("$5 million, $1,250.00", "five million dollars, one thousand two hundred and fifty dollars"),
    ("on 2026-03-14", "on March fourteenth, twenty twenty-six"),
    ("on March 3rd or 3 March 2026", "on March third or third of March twenty twenty-six"),
    ("Dec. 24", "December twenty-fourth"),
    ("Call 555-1234", "Call five five five, one two three four"),
    ("Call +39 06 1234 5678",
     "Call plus three nine, zero six, one two three four, five six seven eight"),
    ("code 007", "code zero zero seven"),
    ("the 1st and the 22nd", "the first and the twenty-second"),
    ("15% off, 3.14 or 1,000", "fifteen percent off, three point one four or one thousand"),
    ("10–12 people, 1/2 portion, B12", "ten to twelve people, one half portion, B twelve"),
    ("It is -5°C", "It is minus five degrees Celsius"),
    ("Dr. Rossi, e.g. Mr. & Mrs. Bianchi",
     "Doctor Rossi, for example, Mister and Missus Bianchi"),
    ("**Bold**, _soft_, `code` and ~~not~~", "Bold, soft, code and not"),
    ("# Menu\n- Pizza\n- Pasta", "Menu, Pizza, Pasta"),
    ("See [our menu](https://x.y/z) 😀!", "See our menu!"),
    ("Press * then #", "Press star then hash"),
    ("Mail info@bella-notte.it or see https://www.bella.com/menu.",
     "Mail info at bella dash notte dot it or see bella dot com slash menu."),
    ("<think>a plan</think>Hello <b>you</b>", "Hello you"),
    ("a plan</think> Hello", "Hello"),
    ("Hello <think>now a", "Hello"),
    ("Well… yes — “fine” (really)", "Well, yes, fine, really,"),
    ("Well - yes", "Well, yes"),
    ("😀 👍🏽", ""),
    ("Plain words, that's all; isn't it?", "Plain words, that's all; isn't it?"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "said"), TABLE)
def test_text_is_said_as_a_person_would(written: str, said: str) -> None:
    """The table above."""
    assert speakable(written) == said


def test_heard_words_are_the_writers_own() -> None:
    """Every written word knows its place in the speech, also where one rule covers several."""
    speech = spoken("**Sure**, at 7:30 pm for €12.50 😀 ok?")
    assert [(word.original, speech.text[word.start : word.end]) for word in speech.words] == [
        ("**Sure**,", "Sure,"),
        ("at", "at"),
        ("7:30", "seven thirty"),
        ("pm", "p m"),
        ("for", "for"),
        ("€12.50", "twelve euros and fifty cents"),
        ("😀", ""),
        ("ok?", "ok?"),
    ]


def test_other_languages_keep_their_numbers() -> None:
    """Only what is known about a language is spelt out."""
    assert speakable("**Acht** Gäste um 20 Uhr", "de") == "Acht Gäste um zwanzig Uhr"
    assert speakable("20", "xx") == "20"


WRITTEN = st.lists(
    st.one_of(
        st.sampled_from(["7:30", "p.m.", "€", "12.50", "**", "`", "<b>", "#", "555-1234", "\n- ",
                         "</think>", "1/2", "2026-99-99", "31/31/2026", "[a](b)", "_", "0" * 30,
                         "1" * 400, "99:99", "$0", "£0.00", "½", "٣", "²", "e.g.",
                         "May", "12 May"]),
        st.text(max_size=8),
    ),
    max_size=20,
).map(" ".join)  # fmt: skip


@settings(deadline=None)  # a busy machine is no failure
@given(WRITTEN)
def test_anything_can_be_said(text: str) -> None:
    """No text raises, leaves markup or digits, or loses a word's place."""
    speech = spoken(text)
    assert not re.search(r"[*`_#<>\[\]{}|~\\^\n0-9€$£]", speech.text)
    assert [word.original for word in speech.words] == text.split()
    ends = [0] + [edge for word in speech.words for edge in (word.start, word.end)]
    assert ends == sorted(ends)
    assert ends[-1] <= len(speech.text)


@settings(deadline=None)  # a busy machine is no failure
@given(WRITTEN)
def test_speech_is_already_speakable(text: str) -> None:
    """What is spelt out once is not changed by doing it again."""
    once = speakable(text)
    assert speakable(once) == once


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.from_regex(r"[a-z]{2,8}[,.?]?", fullmatch=True), min_size=1).map(" ".join))
def test_plain_words_stay_as_they_are(text: str) -> None:
    """Words without anything special are spoken as written."""
    if not re.search(r"\b(vs|approx|etc|mr|mrs|ms|dr|prof)\b|\.", text):
        assert speakable(text) == text
