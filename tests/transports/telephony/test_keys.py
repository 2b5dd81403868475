"""Keys pressed on a telephone: one entry until # or a pause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_agent.transports.telephony.keys import LONGEST, PAUSE_MS, Keypad


def test_a_hash_ends_an_entry_and_is_not_part_of_it() -> None:
    """1 2 3 # is 123, at once."""
    keypad = Keypad()
    assert [keypad.press(key, 0.0) for key in "123"] == [None] * 3
    assert keypad.open
    assert keypad.press("#", 10.0) == "123"
    assert not keypad.open
    assert keypad.due_at() is None


def test_a_pause_ends_an_entry_too() -> None:
    """Counted from the last key: people look numbers up while they type."""
    keypad = Keypad()
    keypad.press("4", 0.0)
    keypad.press("2", 1900.0)
    assert keypad.due_at() == 1900.0 + PAUSE_MS
    assert keypad.paused(3899.0) is None
    assert keypad.paused(3900.0) == "42"
    assert keypad.paused(9999.0) is None


def test_a_lone_hash_is_an_entry() -> None:
    """Nothing was typed before it, so it is what was meant; a star is a key like any other."""
    assert Keypad().press("#", 0.0) == "#"
    keypad = Keypad()
    keypad.press("*", 0.0)
    assert keypad.press("#", 0.0) == "*"


@given(st.lists(st.tuples(st.sampled_from("0123456789*#"), st.floats(0, 5000)), max_size=200))
def test_no_key_is_lost_or_said_twice(presses: list[tuple[str, float]]) -> None:
    """All entries together are all keys, but for the hashes that ended one; none is too long."""
    keypad, now, entries, pressed = Keypad(), 0.0, [], ""
    for key, gap in presses:
        now += gap
        entries.append(keypad.paused(now))
        ends = key == "#" and keypad.open
        pressed += "" if ends else key
        entries.append(keypad.press(key, now))
    entries.append(keypad.paused(now + PAUSE_MS))
    assert "".join(filter(None, entries)) == pressed
    assert all(len(entry) <= LONGEST for entry in entries if entry)
