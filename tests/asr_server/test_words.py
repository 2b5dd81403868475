"""Partials and finals of a stream whose finals are decoded on copies of it."""

from hypothesis import given
from hypothesis import strategies as st

from voice_agent.asr_server.words import Token, Transcript, whole_words, words_of
from voice_agent.riva.words import Word, untold


def words(text: str) -> list[Word]:
    return [Word(each) for each in text.split()]


def texts(found: list[Word]) -> str:
    return " ".join(word.text for word in found)


def test_tokens_become_words_with_times():
    """A word begins where its first token came out and ends behind its last."""
    tokens = [Token("▁a", 2), Token("▁ta", 4), Token("ble", 5), Token("▁for", 9)]
    assert words_of(tokens, 80) == [
        Word("a", 160, 240),
        Word("table", 320, 480),
        Word("for", 720, 800),
    ]


def test_what_a_final_told_is_not_told_again():
    """The stream comes to the words of its final one by one; they are no news."""
    told = ["a", "table", "for"]
    assert untold(words("a ta"), told) == []
    assert untold(words("a table"), told) == []
    assert texts(untold(words("a table for four"), told)) == "four"


def test_another_word_than_was_told_is_news():
    """A final in mid-word told its beginning; the whole word is told when it is known."""
    told = ["a", "table", "for"]
    assert texts(untold(words("a table forty people"), told)) == "forty people"


def test_only_words_that_cannot_change_are_whole():
    """The last word may go on."""
    tokens = [Token("▁a", 2), Token("▁ta", 4), Token("ble", 5), Token("▁for", 9)]
    assert whole_words(tokens) == (2, 3)
    assert whole_words(tokens[:1]) == (0, 0)


WORDS = st.lists(st.sampled_from("a b c d".split()), min_size=0, max_size=12)


@given(all_words=WORDS, cuts=st.lists(st.integers(0, 12), max_size=5), lag=st.integers(0, 3))
def test_finals_together_are_the_whole_text(all_words, cuts, lag):
    """Wherever finals are asked for, and however far the stream itself is behind: nothing is
    told twice, nothing is lost."""
    transcript = Transcript()
    told: list[str] = []
    kept_from = 0
    for cut in [*sorted(min(cut, len(all_words)) for cut in cuts), len(all_words)]:
        copy = [Word(text) for text in all_words[kept_from:cut]]
        stream = all_words[kept_from : max(kept_from, cut - lag)]
        forgotten = max(0, len(stream) - 1)
        told += [word.text for word in transcript.final(copy, forgotten)]
        kept_from += forgotten
        partial = transcript.partial(
            [Word(text) for text in all_words[kept_from : max(0, cut - lag)]]
        )
        assert partial == []
    assert told == all_words
