"""Who is let in: keys, client secrets, and servers that have neither."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from voice_agent.transports.realtime_api.access import Access, AccessError, Denied
from voice_agent.transports.realtime_api.settings import RealtimeSettings

KEYED = RealtimeSettings(key_env="KEYS")
ENVIRON = {"KEYS": "sk-one, sk-two"}


def bearer(key: str) -> Headers:
    return Headers({"authorization": f"Bearer {key}"})


def page(secret: str) -> Headers:
    return Headers({"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{secret}"})


def status(access: Access, headers: Headers, address: str = "192.0.2.1", at_s: float = 0.0) -> int:
    try:
        access.admit(headers, address, at_s)
    except Denied as denied:
        return denied.status
    return 200


@pytest.mark.parametrize("key", ["sk-one", "sk-two"])
def test_every_key_of_the_variable_opens(key: str) -> None:
    access = Access(KEYED, "0.0.0.0", ENVIRON)
    assert status(access, bearer(key)) == status(access, page(key)) == 200


@pytest.mark.parametrize("headers", [Headers(), bearer("sk-three"), bearer(""), page("sk-three")])
def test_nothing_else_does(headers: Headers) -> None:
    assert status(Access(KEYED, "127.0.0.1", ENVIRON), headers) == 401


def test_a_variable_that_is_not_set_is_a_mistake_at_the_start() -> None:
    """A server that seems protected and is not would be worse."""
    with pytest.raises(AccessError, match="KEYS, which is not set"):
        Access(KEYED, "127.0.0.1", {})


def test_without_a_key_this_machine_is_let_in_and_nobody_else() -> None:
    """Clients send some key in any case; on loopback it does not matter which."""
    here = Access(RealtimeSettings(), "127.0.0.1", {})
    assert status(here, Headers()) == status(here, bearer("anything")) == 200
    everywhere = Access(RealtimeSettings(), "0.0.0.0", {})
    assert status(everywhere, Headers()) == status(everywhere, bearer("anything")) == 401


def test_a_client_secret_opens_until_it_expires() -> None:
    """It carries its session, and is no key: it makes no further secrets."""
    access = Access(KEYED, "0.0.0.0", ENVIRON)
    secret = access.issue({"instructions": "Be brief."}, now_s=100.0, lasts_s=60.0)
    grant = access.admit(page(secret), "192.0.2.1", 159.0)
    assert not grant.by_key
    assert grant.session == {"instructions": "Be brief."}
    assert status(access, page(secret[:-1]), at_s=159.0) == 401
    assert status(access, page(secret), at_s=160.0) == 401


def test_wrong_keys_are_counted_for_each_address() -> None:
    """The guesser is slowed down, neighbours and the right key are not."""
    access = Access(KEYED, "0.0.0.0", ENVIRON)
    assert [status(access, bearer(f"guess-{n}")) for n in range(25)] == [401] * 20 + [429] * 5
    assert status(access, bearer("guess"), "192.0.2.2") == 401
    assert status(access, bearer("sk-one")) == 200
    assert status(access, bearer("guess"), at_s=60.0) == 401
