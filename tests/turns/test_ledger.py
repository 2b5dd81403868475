"""What a conversation remembers, and what it never does."""

from __future__ import annotations

from voice_agent.turns.events import Tag
from voice_agent.turns.ledger import Draft, Ledger, call_message, result_message


def roles(messages: list[dict[str, object]]) -> list[object]:
    return [message["role"] for message in messages]


def test_a_draft_sees_its_own_words_and_leaves_no_trace() -> None:
    """A guess works on a provisional context; dropped, nothing happened."""
    ledger = Ledger("be kind")
    draft = Draft(Tag(1, 1), "a table for")
    assert roles(ledger.provisional(draft)) == ["system", "user"]
    assert ledger.messages() == [{"role": "system", "content": "be kind"}]


def test_only_what_was_heard_of_an_answer_is_remembered() -> None:
    """An interrupted answer ends where the caller cut it off."""
    ledger = Ledger("be kind")
    ledger.commit(Draft(Tag(1, 1), "hours?"), "hours?")
    ledger.heard(1, "We open at", interrupted=True)
    assert ledger.messages()[-1] == {"role": "assistant", "content": "We open at —"}
    assert ledger.last_said == "We open at"


def test_tool_calls_come_between_question_and_answer_with_their_results() -> None:
    """The order every model server asks for."""
    ledger = Ledger("be kind")
    draft = Draft(Tag(1, 1), "book it")
    ledger.commit(draft, "book it")
    draft.items.append(call_message("c1", "book_table", {"party": 2}))
    draft.items.append(result_message("c1", {"ok": True}))
    ledger.heard(1, "Done.", interrupted=False)
    assert roles(ledger.messages()) == ["system", "user", "assistant", "tool", "assistant"]


def test_a_call_without_a_result_is_not_told() -> None:
    """Model servers refuse a context with an unanswered call."""
    ledger = Ledger("be kind")
    draft = Draft(Tag(1, 1), "book it")
    draft.items.append(call_message("c1", "book_table", {}))
    assert roles(ledger.provisional(draft)) == ["system", "user"]


def test_a_result_that_comes_after_the_interruption_is_kept() -> None:
    """What a tool did, it did: the booking is remembered although its answer was cut off."""
    ledger = Ledger("be kind")
    draft = Draft(Tag(1, 1), "book it")
    draft.items.append(call_message("c1", "book_table", {}))
    ledger.commit(draft, "book it")
    ledger.add_result(1, "c1", {"ok": True})
    assert roles(ledger.messages()) == ["system", "user", "assistant", "tool"]


def test_a_turn_taken_back_is_forgotten_and_may_come_again_longer() -> None:
    """The user went on before anything was heard."""
    ledger = Ledger("be kind")
    ledger.commit(Draft(Tag(1, 1), "a table"), "a table")
    ledger.forget(1)
    ledger.commit(Draft(Tag(1, 2), "a table for two"), "a table for two")
    assert [m["content"] for m in ledger.messages()[1:]] == ["a table for two"]
