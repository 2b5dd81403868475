"""What a recogniser still owes: audio and requests, sent in order, replayed after a loss."""

from hypothesis import given
from hypothesis import strategies as st

from voice_agent.asr.riva_audio import Owed


def sent(owed: Owed, most: int = 640) -> list[bytes | int]:
    """Return everything that is to be sent now: audio, and the numbers of requests."""
    out: list[bytes | int] = []
    while (piece := owed.next(most)) is not None:
        if piece.pcm:
            out.append(piece.pcm)
        if piece.request is not None:
            out.append(piece.request.number)
    return out


def test_a_request_goes_behind_its_audio():
    """What was heard before it comes before it, what was heard after it after."""
    owed = Owed(most=10_000)
    owed.hear(b"aa")
    owed.ask()
    owed.hear(b"bb")
    assert sent(owed) == [b"aa", 1, b"bb"]
    assert sent(owed) == []


def test_a_lost_connection_begins_again_with_what_no_final_covers():
    """Audio before the last final is not sent again, everything else is, requests included."""
    owed = Owed(most=10_000)
    owed.hear(b"aa")
    first = owed.ask()
    owed.hear(b"bbcc")
    owed.ask()
    sent(owed)
    owed.covered(first)
    owed.hear(b"dd")
    owed.rewind()
    assert sent(owed) == [b"bbcc", 2, b"dd"]


def test_memory_is_bounded():
    """A server that is away for too long costs the oldest audio, and that is counted."""
    owed = Owed(most=4)
    owed.hear(b"aabb")
    owed.hear(b"cc")
    assert owed.forgotten == 2
    assert sent(owed) == [b"bbcc"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.integers(1, 40)),
        st.sampled_from([("ask", 0), ("send", 0), ("lose", 0), ("final", 0)]),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_byte_is_covered_by_exactly_one_final(steps):
    """Whatever is lost and when: a server that answers what the last connection sent has heard
    everything once, in order."""
    owed = Owed(most=10_000)
    heard = bytearray()
    connection: list[bytes | int] = []
    finals: list[bytes] = []
    asked = 0
    for step, size in [*steps, ("ask", 0), ("send", 0), *[("final", 0)] * 50]:
        match step:
            case "hear":
                pcm = bytes((len(heard) + n) % 251 for n in range(2 * size))
                heard += pcm
                owed.hear(pcm)
            case "ask":
                owed.ask()
                asked += 1
            case "send":
                connection += sent(owed)
            case "lose":
                owed.rewind()
                connection = []
            case "final":  # the server works through the connection up to the next request
                at = next((n for n, each in enumerate(connection) if isinstance(each, int)), None)
                if at is None:
                    continue
                finals.append(b"".join(p for p in connection[:at] if isinstance(p, bytes)))
                request = owed.requests[0]
                assert request.number == connection[at]
                owed.covered(request)
                connection = connection[at + 1 :]
    assert b"".join(finals) == bytes(heard)
    assert len(finals) == asked
    assert not owed.pcm
