"""Calls made, ended and handed over through the carriers' REST APIs, as their references say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.transports.telephony.api import CarrierApi, carrier_api
from voice_agent.transports.telephony.carrier import Carrier, Secrets, TelephonyError
from voice_agent.transports.telephony.exotel import Exotel
from voice_agent.transports.telephony.plivo import Plivo
from voice_agent.transports.telephony.settings import (
    ExotelSettings,
    PlivoSettings,
    TelnyxSettings,
    TwilioSettings,
    VonageSettings,
)
from voice_agent.transports.telephony.telnyx import Telnyx
from voice_agent.transports.telephony.twilio import Twilio
from voice_agent.transports.telephony.vonage import Vonage

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
ENVIRON = {
    "TWILIO_ACCOUNT_SID": "AC0",
    "TWILIO_AUTH_TOKEN": "token",
    "TELNYX_PUBLIC_KEY": "public",
    "TELNYX_API_KEY": "KEY0",
    "PLIVO_AUTH_ID": "MA0",
    "PLIVO_AUTH_TOKEN": "token",
    "VONAGE_SIGNATURE_SECRET": "secret",
    "VONAGE_APPLICATION_ID": "app",
    "VONAGE_PRIVATE_KEY": PEM,
    "EXOTEL_KEY": "key",
    "EXOTEL_ACCOUNT_SID": "acc",
    "EXOTEL_API_KEY": "api",
    "EXOTEL_API_TOKEN": "token",
}
FROM = "+15550199"
ANSWER = "https://voice.example/telephony/{}/answer"
EVENTS = "https://voice.example/telephony/{}/events"
Make = Callable[[str], Carrier]

MAKE: dict[str, Make] = {
    "twilio": lambda url: Twilio(
        TwilioSettings(api_url=url, from_number=FROM), Secrets("twilio", ENVIRON)
    ),
    "telnyx": lambda url: Telnyx(
        TelnyxSettings(api_url=url, from_number=FROM, application_id="77"),
        Secrets("telnyx", ENVIRON),
    ),
    "plivo": lambda url: Plivo(
        PlivoSettings(api_url=url, from_number=FROM), Secrets("plivo", ENVIRON)
    ),
    "vonage": lambda url: Vonage(
        VonageSettings(api_url=url, from_number=FROM), Secrets("vonage", ENVIRON)
    ),
    "exotel": lambda url: Exotel(
        ExotelSettings(api_url=url, from_number=FROM), Secrets("exotel", ENVIRON)
    ),
}


@pytest.fixture
async def api() -> AsyncIterator[CarrierApi]:
    async with carrier_api() as serving:
        yield serving


@pytest.mark.parametrize(
    ("name", "answer", "path", "said"),
    [
        (
            "twilio",
            {"sid": "CA1"},
            "/2010-04-01/Accounts/AC0/Calls.json",
            {"To": "+15550100", "From": FROM, "MachineDetection": "Enable", "AsyncAmd": "true"},
        ),
        (
            "telnyx",
            {"data": {"call_sid": "CA1"}},
            "/v2/texml/calls/77",
            {"To": "+15550100", "From": FROM, "MachineDetection": "Enable", "AsyncAmd": "true"},
        ),
        (
            "plivo",
            {"request_uuid": "CA1"},
            "/v1/Account/MA0/Call/",
            {"to": "+15550100", "from": FROM, "machine_detection": "true"},
        ),
        (
            "vonage",
            {"uuid": "CA1"},
            "/v1/calls",
            {
                "to": [{"type": "phone", "number": "15550100"}],
                "from": {"type": "phone", "number": "15550199"},
                "advanced_machine_detection": {"behavior": "continue", "mode": "detect"},
            },
        ),
        (
            "exotel",
            {"Call": {"Sid": "CA1"}},
            "/v1/accounts/acc/calls/connect",
            {"from": "+15550100", "callerid": FROM, "streamtype": "bidirectional"},
        ),
    ],
)
async def test_a_carrier_is_asked_to_call(
    api: CarrierApi, name: str, answer: dict[str, Any], path: str, said: dict[str, Any]
) -> None:
    """Whom, from which number, where to ask on, and whether a machine answers."""
    api.answer = answer
    carrier = MAKE[name](api.url)
    call = await carrier.dial("+15550100", ANSWER.format(name), EVENTS.format(name), detect=True)
    assert call.call_id == "CA1"
    [asked] = api.asked
    assert (asked.method, asked.path) == ("POST", path)
    assert {key: asked.said[key] for key in said} == said
    told = str(asked.said)
    host = "agent:key@voice.example" if name == "exotel" else "voice.example"
    assert host in told
    assert EVENTS.format(name) in told
    assert asked.authorization.split()[0] in ("Basic", "Bearer")


@pytest.mark.parametrize(
    ("name", "method", "path", "said"),
    [
        ("twilio", "POST", "/2010-04-01/Accounts/AC0/Calls/C1.json", {"Status": "completed"}),
        ("telnyx", "POST", "/v2/calls/C1/actions/hangup", {}),
        ("plivo", "DELETE", "/v1/Account/MA0/Call/C1/", {}),
        ("vonage", "PUT", "/v1/calls/C1", {"action": "hangup"}),
    ],
)
async def test_a_carrier_is_asked_to_hang_up(
    api: CarrierApi, name: str, method: str, path: str, said: dict[str, Any]
) -> None:
    """A call that has ended meanwhile is no error; a refusal is one, with the carrier's words."""
    carrier = MAKE[name](api.url)
    await carrier.hang_up("C1")
    [asked] = api.asked
    assert (asked.method, asked.path, asked.said) == (method, path, said)
    api.status = 404
    await carrier.hang_up("C1")
    api.status, api.answer = 401, {"message": "Authenticate"}
    with pytest.raises(TelephonyError, match=r"401.*Authenticate"):
        await carrier.hang_up("C1")


@pytest.mark.parametrize(
    ("name", "method", "path", "told"),
    [
        ("twilio", "POST", "/2010-04-01/Accounts/AC0/Calls/C1.json", "<Dial>+15550123</Dial>"),
        ("telnyx", "POST", "/v2/calls/C1/actions/transfer", "'to': '+15550123'"),
        ("plivo", "POST", "/v1/Account/MA0/Call/C1/", "https://voice.example/transfer/1"),
        ("vonage", "PUT", "/v1/calls/C1", "'number': '15550123'"),
    ],
)
async def test_a_carrier_is_asked_to_hand_a_call_over(
    api: CarrierApi, name: str, method: str, path: str, told: str
) -> None:
    """To the number, or to the webhook that says it."""
    carrier = MAKE[name](api.url)
    await carrier.transfer("C1", "+15550123", "https://voice.example/transfer/1")
    [asked] = api.asked
    assert (asked.method, asked.path) == (method, path)
    assert told in str(asked.said)
    if name == "plivo":
        answer = carrier.transferred("+15550123")
        assert answer is not None
        assert "<Dial><Number>+15550123</Number></Dial>" in answer.content


@pytest.mark.parametrize(
    ("name", "path"),
    [("telnyx", "/v2/calls/C1/actions/send_dtmf"), ("vonage", "/v1/calls/C1/dtmf")],
)
async def test_a_carrier_is_asked_to_press_keys(api: CarrierApi, name: str, path: str) -> None:
    """Where it can be asked; the others send them through the stream, or as sound."""
    assert await MAKE[name](api.url).send_keys("C1", "42#")
    [asked] = api.asked
    assert (asked.path, asked.said) == (path, {"digits": "42#"})
    assert not await MAKE["twilio"](api.url).send_keys("C1", "42#")
    assert not api.asked[1:]


async def test_vonage_is_shown_a_token_of_our_applications(api: CarrierApi) -> None:
    """Signed with its private key, for five minutes."""
    await MAKE["vonage"](api.url).hang_up("C1")
    token = api.asked[0].authorization.removeprefix("Bearer ")
    claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"])
    assert claims["application_id"] == "app"
    assert claims["exp"] - claims["iat"] == 300


@pytest.mark.parametrize("name", MAKE)
async def test_without_a_number_of_ones_own_nobody_is_called(name: str) -> None:
    """The key that is missing is named."""
    carrier = MAKE[name]("http://127.0.0.1:1")
    carrier._settings = carrier._settings.model_copy(update={"from_number": ""})  # type: ignore[attr-defined]
    with pytest.raises(TelephonyError, match=rf"telephony\.{name}\.from_number"):
        await carrier.dial("+15550100", ANSWER.format(name), EVENTS.format(name), detect=False)


async def test_a_carrier_that_is_not_there_is_said_to_be() -> None:
    """Not a stack trace."""
    with pytest.raises(TelephonyError, match="cannot be asked"):
        await MAKE["twilio"]("http://127.0.0.1:1").hang_up("C1")
