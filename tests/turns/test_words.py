"""What the words so far say about the end of a turn."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.turns.asked import asked_for
from voice_agent.turns.spoken_forms import number_words, spoken_words
from voice_agent.turns.words import FORMAT, TurnWordsError, WordModel

REPO = Path(__file__).parents[2]
COMPLETE, AMBIGUOUS, INCOMPLETE = (0.5, 1.0), (0.1, 0.9), (0.0, 0.2)

SIZE = "Lovely, and how many people should I expect?"
TIME = "Tuesday is fine. What time do you want to eat?"
DATE = "Of course. Which day were you thinking of?"
WHEN = "And when would that be?"
PHONE = "Nearly done. Which phone number can we reach you on?"
CODE = "Could you read me the order number on the receipt?"
NAME = "And what name is the booking under?"
SPELL = "Sorry, would you spell the surname?"
YES_NO = "Six people on Sunday at noon. Have I got that right?"
MORE = "Wonderful. Was there anything else?"
ORDER = "Which of our pizzas can I bring you?"
EITHER = "Shall I seat you on the terrace or indoors?"
GREETING = "Good afternoon, Trattoria Sole here, how may I help?"
TOLD = "The kitchen closes at half past ten."
NOTHING = ""

TABLE = [
    # An answer of one word is an answer, to the right question.
    (SIZE, "seven", COMPLETE),
    (SIZE, "7", COMPLETE),
    (SIZE, "twelve", COMPLETE),
    (SIZE, "four people", COMPLETE),
    (SIZE, "just the two of us", COMPLETE),
    (SIZE, "there will be", INCOMPLETE),
    (SIZE, "for", INCOMPLETE),
    (SIZE, "five adults and", INCOMPLETE),
    (SIZE, "three um", INCOMPLETE),
    (PHONE, "seven", INCOMPLETE),
    (CODE, "seven", INCOMPLETE),
    # Digits come in groups; the pauses between them are not the end.
    (PHONE, "four one five", INCOMPLETE),
    (PHONE, "415", INCOMPLETE),
    (PHONE, "four one five five five five", INCOMPLETE),
    (PHONE, "415 555", INCOMPLETE),
    (PHONE, "four one five five five five two six seven one", COMPLETE),
    (PHONE, "415-555-2671", COMPLETE),
    (PHONE, "sure it's four one five", INCOMPLETE),
    (PHONE, "it's oh seven nine double four", INCOMPLETE),
    (PHONE, "my number is", INCOMPLETE),
    (CODE, "it's eight eight", INCOMPLETE),
    # Times and dates in parts.
    (TIME, "half past", INCOMPLETE),
    (TIME, "half past eight", COMPLETE),
    (TIME, "7:30 PM", COMPLETE),
    (TIME, "seven thirty", COMPLETE),
    (TIME, "seven", COMPLETE),
    (TIME, "around", INCOMPLETE),
    (TIME, "quarter to", INCOMPLETE),
    (TIME, "between six and", INCOMPLETE),
    (DATE, "friday", COMPLETE),
    (DATE, "next", INCOMPLETE),
    (DATE, "friday at", INCOMPLETE),
    (DATE, "march", INCOMPLETE),
    (DATE, "march the", INCOMPLETE),
    (DATE, "the twenty first of", INCOMPLETE),
    (DATE, "the day after tomorrow", COMPLETE),
    (WHEN, "tomorrow", AMBIGUOUS),
    (WHEN, "tomorrow at", INCOMPLETE),
    (WHEN, "tomorrow at half past seven", COMPLETE),
    # Names, and names spelled out.
    (NAME, "my name is", INCOMPLETE),
    (NAME, "it's", INCOMPLETE),
    (NAME, "it's petrovic", COMPLETE),
    (NAME, "annika lindqvist", COMPLETE),
    (SPELL, "l i n", INCOMPLETE),
    (SPELL, "it's d as in", INCOMPLETE),
    # Yes and no.
    (YES_NO, "yes", COMPLETE),
    (YES_NO, "Yes, please.", COMPLETE),
    (YES_NO, "no", COMPLETE),
    (YES_NO, "that's right", COMPLETE),
    (YES_NO, "yes but", INCOMPLETE),
    (YES_NO, "no we are", INCOMPLETE),
    (YES_NO, "no wait i meant", INCOMPLETE),
    (YES_NO, "no it's for", INCOMPLETE),
    (MORE, "no that's all thank you", COMPLETE),
    (MORE, "nope", COMPLETE),
    (MORE, "yes i'd also like a", INCOMPLETE),
    (MORE, "yes can you", INCOMPLETE),
    # Orders and choices.
    (ORDER, "the margherita please", COMPLETE),
    (ORDER, "i'll have the", INCOMPLETE),
    (ORDER, "one margherita and", INCOMPLETE),
    (ORDER, "a pizza with", INCOMPLETE),
    (EITHER, "indoors", COMPLETE),
    (EITHER, "on the terrace please", COMPLETE),
    (EITHER, "on the", INCOMPLETE),
    # Requests: a grammatical sentence may still go on, and people do.
    (GREETING, "i'd like", INCOMPLETE),
    (GREETING, "i'd like a table for", INCOMPLETE),
    (GREETING, "i'd like a table for four", AMBIGUOUS),
    (GREETING, "i'd like a table for four at", INCOMPLETE),
    (GREETING, "can i book a table for six people tomorrow evening please", COMPLETE),
    (GREETING, "hi my name is jonas and", INCOMPLETE),
    (GREETING, "do you have any", INCOMPLETE),
    (GREETING, "do you have vegan pizza", COMPLETE),
    (GREETING, "i want to cancel my", INCOMPLETE),
    (GREETING, "i want to cancel my reservation", COMPLETE),
    (GREETING, "what time do you", INCOMPLETE),
    (GREETING, "what time do you open on sundays", COMPLETE),
    (GREETING, "let me think", INCOMPLETE),
    # Talk about anything, the agent's words known or not.
    (TOLD, "okay thank you", COMPLETE),
    (TOLD, "and is there", INCOMPLETE),
    (TOLD, "so if we", INCOMPLETE),
    (NOTHING, "how much does the lasagna cost", COMPLETE),
    (NOTHING, "how much does the", INCOMPLETE),
    (NOTHING, "the doctor walked into the", INCOMPLETE),
    (NOTHING, "he was late because", INCOMPLETE),
    (NOTHING, "could you tell me where the", INCOMPLETE),
    (NOTHING, "i was wondering if you", INCOMPLETE),
    (NOTHING, "hello um", INCOMPLETE),
]


@pytest.fixture(scope="module")
def model() -> WordModel:
    return WordModel.load()


@pytest.mark.parametrize(("agent_said", "words", "expected"), TABLE)
def test_specification(
    model: WordModel, agent_said: str, words: str, expected: tuple[float, float]
) -> None:
    """Each row: what the agent asked, what was said before the pause, and whether that ends it."""
    low, high = expected
    assert low <= model.end_probability(words, agent_said) <= high


def test_the_table_is_held_out() -> None:
    """No question of the table is among those the training data is made with."""
    folder = REPO / "models" / "turn-words"
    wordings = "".join((folder / name).read_text() for name in ("wordings.toml", "spoken.py"))
    for agent_said in {row[0] for row in TABLE} - {NOTHING}:
        assert agent_said not in wordings


@given(st.text(), st.text())
def test_any_text_gives_a_probability(words: str, agent_said: str) -> None:
    """Whatever a recogniser or an agent writes, in any script, the answer is a probability."""
    assert 0.0 <= WordModel(np.zeros(8, np.float32)).end_probability(words, agent_said) <= 1.0


@given(
    st.lists(
        st.sampled_from(
            [
                "7:30",
                "$5",
                "415",
                "3rd",
                "p.m.",
                "mm-hm",
                "O'Clock",
                "99:99",
                "0",
                "1,000",
                "2026",
                "double",
                "A",
                "oh",
                "I'm",
                "…",
                "²",
            ]
        )
    )
)
@settings(max_examples=300)
def test_figures_and_signs_are_read(model: WordModel, written: list[str]) -> None:
    """Figures, prices and signs in any order are read without complaint."""
    assert 0.0 <= model.end_probability(" ".join(written), "What time?") <= 1.0


@pytest.mark.parametrize("nothing", ["", "   ", "...", "um", "Uh, um…"])
def test_no_words_are_no_end(model: WordModel, nothing: str) -> None:
    """Silence and fillers alone never end a turn."""
    assert model.end_probability(nothing, YES_NO) == 0.0


SENTENCES = [(agent_said, words) for agent_said, words, expected in TABLE if expected == COMPLETE]
OPEN_ENDS = ["um", "uh", "er", "and", "or", "but", "because", "with", "for the", "and then um"]


@given(st.sampled_from(SENTENCES), st.sampled_from(OPEN_ENDS))
@settings(max_examples=200)
def test_an_open_end_lowers_it(model: WordModel, sentence: tuple[str, str], open_end: str) -> None:
    """A filler, a conjunction or a preposition after a whole sentence says: there is more."""
    agent_said, words = sentence
    longer = f"{words.rstrip('.')} {open_end}"
    assert model.end_probability(longer, agent_said) < 0.5 * model.end_probability(
        words, agent_said
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7:30 PM", "seven thirty p.m."),
        ("415-555-2671", "four one five five five five two six seven one"),
        ("Twenty-one people, please!", "21 people please"),
        ("March 3rd", "march third"),
        ("at 7 o’clock", "at seven o'clock"),
        ("$25", "twenty five dollars"),
    ],
)
def test_how_it_is_written_does_not_matter(one: str, other: str) -> None:
    """Figures, capitals, punctuation and hyphens are brought to the same words."""
    assert spoken_words(one) == spoken_words(other)


def test_numbers_are_spoken_to_ninety_nine() -> None:
    """Beyond that, figures are dictated one by one."""
    assert number_words(42) == ["forty", "two"]
    assert spoken_words("12345") == "one two three four five".split()
    with pytest.raises(ValueError, match="0-99"):
        number_words(100)


@pytest.mark.parametrize(
    ("agent_said", "kinds"),
    [
        (SIZE, ("size",)),
        (TIME, ("time",)),
        (DATE, ("date",)),
        (WHEN, ("time", "date")),
        (PHONE, ("phone",)),
        (CODE, ("digits",)),
        (NAME, ("name",)),
        (SPELL, ("spell",)),
        (YES_NO, ("yesno",)),
        (MORE, ("more",)),
        (ORDER, ("choice",)),
        (EITHER, ("either",)),
        (GREETING, ("open",)),
        (TOLD, ("statement",)),
        (NOTHING, ("unknown",)),
        ("Is seven p.m. okay?", ("yesno",)),
        ("Can I have your name and phone number?", ("phone", "name")),
        ("what time should i put down", ("time",)),  # a model that writes no punctuation
    ],
)
def test_what_was_asked(agent_said: str, kinds: tuple[str, ...]) -> None:
    """The agent's last question tells what kind of answer will do."""
    assert asked_for(agent_said) == kinds


def test_the_question_decides(model: WordModel) -> None:
    """The same word is an end after one question and a beginning after another."""
    assert model.end_probability("seven", SIZE) > 0.5 > model.end_probability("seven", PHONE)


@given(st.text(alphabet=string.printable, max_size=2000))
@settings(max_examples=50)
def test_a_long_turn_is_no_trouble(model: WordModel, words: str) -> None:
    """Only the last words count, so that a call's time stays bounded."""
    assert 0.0 <= model.end_probability(words * 5, GREETING) <= 1.0


def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    """The error names the place and the script that makes the file."""
    with pytest.raises(TurnWordsError, match=r"train\.py"):
        WordModel.load(tmp_path)


def test_a_broken_or_foreign_model_is_refused(tmp_path: Path) -> None:
    """A file that is no model, or of another format, is never used."""
    broken = tmp_path / "turn-words.npz"
    broken.write_bytes(b"not a model")
    with pytest.raises(TurnWordsError, match="not a turn-words model"):
        WordModel.load(broken)
    np.savez(broken, format=np.int64(FORMAT + 1), weights=np.zeros(8, np.float16))
    with pytest.raises(TurnWordsError, match="format"):
        WordModel.load(broken)


def test_the_shipped_model_is_small() -> None:
    """It ships in the wheel: under a megabyte."""
    assert (REPO / "models" / "turn-words" / "turn-words.npz").stat().st_size < 1_000_000
