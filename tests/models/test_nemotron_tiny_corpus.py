"""The corpus of the small language model: what its host does in it, the model will do."""

import json
import random
import sys
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[2] / "models" / "nemotron-tiny" / "corpus"
sys.path.insert(0, str(CORPUS))

from calls import call  # noqa: E402
from host import Message  # noqa: E402
from noise import Recogniser  # noqa: E402
from phrases import Phrases, read_party, sgd  # noqa: E402
from world import bella_notte  # noqa: E402

CALLS = 40


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    return Phrases()


async def played(phrases: Phrases, seed: int, count: int = CALLS) -> list[list[Message]]:
    rng = random.Random(seed)
    recogniser, bella = Recogniser(rng), bella_notte()
    return [(await call(rng, phrases, recogniser, bella))[1] for _ in range(count)]


async def test_what_the_host_claims_a_tool_has_confirmed(phrases: Phrases) -> None:
    """ "I have booked" is never said without the tool's own sentence before it."""
    claims = 0
    for messages in await played(phrases, 1):
        confirmed = [
            json.loads(message["content"]).get("say")
            for message in messages
            if message["role"] == "tool"
        ]
        for message in messages:
            text = message["content"] or ""
            if message["role"] == "assistant" and text.startswith("I have "):
                claims += 1
                assert any(text.removesuffix(" —") in str(said) for said in confirmed)
    assert claims > 10


async def test_every_call_gets_its_result_and_every_result_an_answer(phrases: Phrases) -> None:
    """As the ledger sends it: one call, its result, then words."""
    for messages in await played(phrases, 2):
        roles = [message["role"] for message in messages]
        assert roles[0] == "system"
        for at, message in enumerate(messages):
            if message.get("tool_calls"):
                assert len(message["tool_calls"]) == 1
                assert roles[at + 1] == "tool"
                assert messages[at + 1]["tool_call_id"] == message["tool_calls"][0]["id"]
                assert at + 2 == len(messages) or roles[at + 2] in {"assistant", "user"}


async def test_the_same_seed_plays_the_same_calls(phrases: Phrases) -> None:
    """So that a model can be made again."""
    assert await played(phrases, 3, 5) == await played(Phrases(), 3, 5)


def test_held_out_wordings_are_not_in_it(phrases: Phrases) -> None:
    """What people wrote in the development and test parts is for judging only."""
    held_out = {row["words"] for row in sgd("dev", "test")}
    learnt = {row["words"] for row in sgd("train")}
    assert held_out
    assert not held_out & learnt


@pytest.mark.parametrize(
    ("words", "people"),
    [
        ("four people", 4),
        ("two adults and three children", 5),
        ("three adults and a baby", 4),
        ("me and my wife", 2),
        ("just me", 1),
        ("me and my family", None),
    ],
)
def test_how_many_come(words: str, people: int | None) -> None:
    """Or None, where nobody could tell."""
    assert read_party(words) == people
