"""How streamed text is cut into pieces to speak."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.tts.clauses import ClauseAggregator, ClauseRules


async def cut(tokens: list[str], rules: ClauseRules | None = None) -> list[str]:
    aggregator = ClauseAggregator(rules)
    pieces = [piece.text for token in tokens async for piece in aggregator.aggregate(token)]
    rest = await aggregator.flush()
    return pieces + ([rest.text] if rest else [])


def words_as_tokens(text: str) -> list[str]:
    """Split as language models do: a word brings the space before it."""
    words = text.split(" ")
    return words[:1] + [f" {word}" for word in words[1:]]


TABLE = [
    # The first clause goes at its first comma, the rest as a sentence.
    ("Sure, we have a table at 8. Shall I book it?",
     ["Sure,", " we have a table at 8.", " Shall I book it?"]),
    ("Certainly! I can help with that.", ["Certainly!", " I can help with that."]),
    # Without punctuation it is cut where a phrase begins.
    ("We have a lovely table by the window for you.",
     ["We have a lovely table ", "by the window for you."]),
    ("I would be delighted to arrange that for you today",
     ["I would be delighted ", "to arrange that for you today"]),
    ("I can book that today, if you like.", ["I can book that today,", " if you like."]),
    # Never between a number and what it counts, nor within a time, price or date.
    ("The total is 12.50 euros", ["The total is 12.50 euros"]),
    ("That will be €1,000.50 please", ["That will be €1,000.50 please"]),
    ("Come at 7:30 pm please", ["Come at 7:30 pm please"]),
    ("On July 4, 2026, we close.", ["On July 4, 2026,", " we close."]),
    ("Open 12 – 14, then 18 – 23.", ["Open 12 –", " 14, then 18 – 23."]),
    # Abbreviations do not end a sentence, unless a capital letter follows those that may.
    ("Dr. Smith is here. Go in.", ["Dr. Smith is here.", " Go in."]),
    ("We open at 5 p.m. today. Come in.", ["We open at 5 p.m. today.", " Come in."]),
    ("We close at 5 p.m. See you.", ["We close at 5 p.m.", " See you."]),
    ("Take a starter, e.g. soup or salad.", ["Take a starter,", " e.g. soup or salad."]),
    # Addresses stay whole.
    ("See https://bella.com/a,b?c=1 now! Or www.bella.it today.",
     ["See https://bella.com/a,b?c=1 now!", " Or www.bella.it today."]),
    ("Mail me.or.you@bella.com, please do so.", ["Mail me.or.you@bella.com,", " please do so."]),
    # Lists go line by line, and an item's number stays with it.
    ("1. Margherita\n2. Diavola\n", ["1. Margherita\n", "2. Diavola\n"]),
    # Names are one thing.
    ("Hello there this is Bella Notte Restaurant how may I help",
     ["Hello there this is Bella Notte Restaurant ", "how may I help"]),
    # A second piece has some length, the others are sentences.
    ("Sure, yes, we have pasta, fish, meat, and wine. Fine.",
     ["Sure,", " yes, we have pasta,", " fish, meat, and wine.", " Fine."]),
    ("No", ["No"]),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "pieces"), TABLE)
async def test_text_is_cut_where_a_voice_would_pause(text: str, pieces: list[str]) -> None:
    """The table above, with words and with single characters as tokens."""
    assert await cut(words_as_tokens(text)) == pieces
    assert await cut(list(text)) == pieces


@pytest.mark.parametrize(
    ("tokens", "piece"),
    [
        (["Sure", ","], "Sure,"),
        (["Great", "!"], "Great!"),
        (["Is it you", "?"], "Is it you?"),
        (["We have a table", " for", " "], "We have a table "),
        (["Yes", ".", " "], "Yes."),
        # Of the word behind the longest first clause its beginning is enough.
        (
            ["We", " serve", " fresh", " pasta", " here", " daily", " un"],
            "We serve fresh pasta here daily ",
        ),
    ],
)
async def test_a_clear_end_is_not_waited_on(tokens: list[str], piece: str) -> None:
    """The piece goes out with the token that completes it, not with the one after."""
    aggregator = ClauseAggregator()
    for token in tokens[:-1]:
        assert [got async for got in aggregator.aggregate(token)] == []
    assert [got.text async for got in aggregator.aggregate(tokens[-1])] == [piece]


async def test_what_may_become_a_unit_is_waited_for() -> None:
    """ "daily eu" may be "daily euros", which belongs to what it counts."""
    aggregator = ClauseAggregator()
    text = "We serve fresh pasta here daily"
    assert [got async for got in aggregator.aggregate(f"{text} eu")] == []
    assert [got async for got in aggregator.aggregate("ros")] == []
    assert [got.text async for got in aggregator.aggregate("tars it")] == [f"{text} "]


async def test_the_first_clause_is_bounded() -> None:
    """Without any joint the first clause ends after the number of words asked for."""
    words = "one two three four five six seven eight nine".split()
    text = " ".join(f"{word}ish" for word in words)
    pieces = await cut(words_as_tokens(text), ClauseRules(first_clause_max_words=4))
    assert pieces[0] == "oneish twoish threeish fourish "
    assert len(pieces) == 2


async def test_every_reply_begins_with_a_short_clause() -> None:
    """After the end of a reply, and after an interruption, the next one is first again."""
    aggregator = ClauseAggregator()
    for ending in (aggregator.flush, aggregator.handle_interruption):
        pieces = [piece.text async for piece in aggregator.aggregate("Well, I am not sure")]
        assert pieces == ["Well,"]
        await ending()
        assert aggregator.text.text == ""


TOKENS = st.lists(
    st.one_of(
        st.sampled_from([" and", " 7", ":", "30", " p.m.", ",", ". ", "!", "\n", " €12", ".50",
                         " Dr.", " the", " www.a.it", "…", " - ", "—", " Yes", "1,000", '"']),
        st.text(max_size=6),
    ),
    max_size=40,
)  # fmt: skip


@settings(deadline=None)  # a busy machine is no failure
@given(TOKENS)
async def test_nothing_is_lost_or_changed(tokens: list[str]) -> None:
    """The pieces joined are the text, whatever tokens it came in."""
    assert "".join(await cut(tokens)) == "".join(tokens)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(alphabet="a7.:, €", max_size=60))
async def test_numbers_are_never_cut(text: str) -> None:
    """Between two characters of one number, time or price there is no cut."""
    pieces = await cut(list(text))
    for left, right in pairwise(pieces):
        digit_mark_digit = left[-2:-1].isdigit() and left[-1] in ".,:" and right[:1].isdigit()
        assert not digit_mark_digit
        assert not (left[-1:].isdigit() and right[:1].isdigit())
        assert not (left[-1:] == "€" and right[:1].isdigit())
