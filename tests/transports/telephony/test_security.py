"""Who may call: the carriers' signatures, one-time tickets, and limits.

Our checks are held against the carriers' own packages where they are at hand, and against their
published examples where not.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.utils.signature_v3 import validate_v3_signature
from twilio.request_validator import RequestValidator

from voice_agent.load.handsets.telnyx import TelnyxHandset
from voice_agent.transports.telephony import plivo, twilio
from voice_agent.transports.telephony.carrier import Carrier, Secrets, TelephonyError
from voice_agent.transports.telephony.exotel import Exotel
from voice_agent.transports.telephony.genesys import Genesys
from voice_agent.transports.telephony.plivo import Plivo
from voice_agent.transports.telephony.security import (
    TICKET_S,
    TICKETS_MAX,
    Forged,
    Request,
    Strangers,
    Tickets,
)
from voice_agent.transports.telephony.settings import (
    ExotelSettings,
    GenesysSettings,
    PlivoSettings,
    TelnyxSettings,
    TwilioSettings,
    VonageSettings,
)
from voice_agent.transports.telephony.telnyx import Telnyx
from voice_agent.transports.telephony.twilio import Twilio
from voice_agent.transports.telephony.vonage import Vonage

NOW = 1_800_000_000.0
URL = "https://voice.example/telephony/x/answer"
FORM = (("CallSid", "CA1"), ("From", "+15550100"), ("Empty", ""), ("To", "+1 555 é"))
SECRETS = {
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN": "token",
    "PLIVO_AUTH_ID": "MA1",
    "PLIVO_AUTH_TOKEN": "token",
    "TELNYX_PUBLIC_KEY": TelnyxHandset.public_key("secret"),
    "TELNYX_API_KEY": "key",
    "VONAGE_SIGNATURE_SECRET": "a secret of more than thirty-two bytes",
    "VONAGE_APPLICATION_ID": "app",
    "VONAGE_PRIVATE_KEY": "key",
    "EXOTEL_KEY": "key",
    "GENESYS_API_KEY": "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh",
    "GENESYS_CLIENT_SECRET": "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU=",
}


def secret(name: str) -> Secrets:
    return Secrets(name, SECRETS)


texts = st.text(max_size=20)
forms = st.lists(st.tuples(st.text(min_size=1, max_size=10), texts), max_size=8)


@given(forms)
def test_twilios_signature_is_twilios(form: list[tuple[str, str]]) -> None:
    """Whatever the form: the same as its own package makes, with either hash."""
    theirs = RequestValidator("token")
    fields = dict(form)
    for ours, name in (("sha1", "HMAC_SHA1"), ("sha256", "HMAC_SHA256")):
        expected = theirs.compute_signature(URL, fields, name)
        assert twilio.signature("token", URL, fields.items(), ours) == expected


@given(
    st.lists(st.tuples(st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True), texts), max_size=6),
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z]{1,5}", fullmatch=True),
            st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True),
        ),
        max_size=3,
    ),
    st.sampled_from(["GET", "POST"]),
)
def test_plivos_signature_is_plivos(
    form: list[tuple[str, str]], query: list[tuple[str, str]], method: str
) -> None:
    """Whatever the form and the query: its own package takes what ours makes."""
    url = URL + ("?" + urlencode(dict(query)) if query else "")
    fields = dict(form) if method == "POST" else {}
    ours = plivo.signature("token", method, url, fields.items(), "nonce")
    assert validate_v3_signature(method, url, "nonce", "token", f"other,{ours}", fields)


def a_twilio() -> tuple[Carrier, Request]:
    """A request as Twilio would sign it."""
    signed = RequestValidator("token").compute_signature(URL, dict(FORM))
    request = Request("POST", URL, {"x-twilio-signature": signed}, form=FORM)
    return Twilio(TwilioSettings(), secret("twilio")), request


def a_plivo() -> tuple[Carrier, Request]:
    signed = plivo.signature("token", "POST", URL, FORM, "n")
    headers = {"x-plivo-signature-v3": f"older,{signed}", "x-plivo-signature-v3-nonce": "n"}
    return Plivo(PlivoSettings(), secret("plivo")), Request("POST", URL, headers, form=FORM)


def a_telnyx() -> tuple[Carrier, Request]:
    body = urlencode(FORM).encode()
    key = TelnyxHandset._key("secret")
    signature = base64.b64encode(key.sign(f"{NOW:.0f}|".encode() + body)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": f"{NOW:.0f}"}
    carrier = Telnyx(TelnyxSettings(), secret("telnyx"), lambda: NOW + 60)
    return carrier, Request("POST", URL, headers, body, FORM)


def a_vonage() -> tuple[Carrier, Request]:
    body = json.dumps({"uuid": "u", "from": "1"}).encode()
    claims = {"iat": int(NOW), "jti": "j", "payload_hash": hashlib.sha256(body).hexdigest()}
    token = jwt.encode(claims, SECRETS["VONAGE_SIGNATURE_SECRET"], "HS256")
    carrier = Vonage(VonageSettings(), secret("vonage"), lambda: NOW + 60)
    return carrier, Request("POST", URL, {"authorization": f"Bearer {token}"}, body)


def an_exotel() -> tuple[Carrier, Request]:
    given = base64.b64encode(b"agent:key").decode()
    request = Request("GET", URL, {"authorization": f"Basic {given}"})
    return Exotel(ExotelSettings(), secret("exotel")), request


def a_genesys() -> tuple[Carrier, Request]:
    """The example of Genesys's documentation."""
    headers = {
        "audiohook-organization-id": "d7934305-0972-4844-938e-9060eef73d05",
        "audiohook-session-id": "30b0e395-84d3-4570-ac13-9a62d8f514c0",
        "audiohook-correlation-id": "e160e428-53e2-487c-977d-96989bf5c99d",
        "x-api-key": "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh",
        "signature": "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:",
        "signature-input": 'sig1=("@request-target" "@authority" "audiohook-organization-id" '
        '"audiohook-session-id" "audiohook-correlation-id" "x-api-key");'
        'keyid="SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh";nonce="VGhpc0lzQVVuaXF1ZU5vbmNl";'
        'alg="hmac-sha256";created=1641013200;expires=3282026430',
    }
    url = "wss://audiohook.example.com/api/v1/voicebiometrics/ws"
    carrier = Genesys(GenesysSettings(), secret("genesys"), lambda: NOW)
    return carrier, Request("GET", url, headers)


ALL = [a_twilio, a_plivo, a_telnyx, a_vonage, an_exotel, a_genesys]


@pytest.mark.parametrize("signed", ALL)
def test_what_a_carrier_signed_is_believed(signed: Any) -> None:
    """A request as the carrier makes it."""
    carrier, request = signed()
    carrier.verify(request)


@pytest.mark.parametrize("signed", ALL)
def test_what_is_not_signed_is_asked_to_be(signed: Any) -> None:
    """Without its headers a request is 401."""
    carrier, request = signed()
    with pytest.raises(Forged) as refused:
        carrier.verify(replace(request, headers={}))
    assert refused.value.status == 401


@pytest.mark.parametrize("signed", ALL)
def test_a_changed_header_is_not_believed(signed: Any) -> None:
    """Whichever of those that count: one letter more, one less, nonsense, nothing."""
    carrier, request = signed()
    for name, value in request.headers.items():
        if name == "audiohook-organization-id":
            continue  # checked below: all that is signed is
        for other in (value + "x", value[:-2], "nonsense", "::", "\x00", "é"):
            if name == "telnyx-timestamp" and other == value[:-2]:
                continue
            with pytest.raises(Forged):
                carrier.verify(replace(request, headers={**request.headers, name: other}))


@pytest.mark.parametrize("signed", [a_twilio, a_plivo, a_telnyx, a_vonage])
def test_a_changed_request_is_not_believed(signed: Any) -> None:
    """Another field, another body: the signature is for what was sent."""
    carrier, request = signed()
    other = replace(request, form=(*FORM[:-1], ("To", "+1900")), body=request.body + b" ")
    with pytest.raises(Forged):
        carrier.verify(other)


@pytest.mark.parametrize("signed", [a_twilio, a_plivo, a_genesys])
def test_a_signature_for_another_address_is_not_believed(signed: Any) -> None:
    """A request that somebody else received cannot be sent on to us."""
    carrier, request = signed()
    with pytest.raises(Forged):
        carrier.verify(replace(request, url=request.url.replace("voice", "other") + "/x"))


def test_a_request_may_not_be_old() -> None:
    """Recorded and sent again after five minutes it is refused, where the time is signed."""
    for signed in (a_telnyx, a_vonage):
        carrier, request = signed()
        carrier._clock = lambda: NOW + 301  # type: ignore[attr-defined]
        with pytest.raises(Forged, match="old"):
            carrier.verify(request)
    carrier, request = a_genesys()
    for now, why in ((3_282_026_431.0, "old"), (1_641_013_100.0, "yet")):
        carrier._clock = lambda now=now: now  # type: ignore[attr-defined]
        with pytest.raises(Forged, match=why):
            carrier.verify(request)


def test_genesys_must_sign_the_session() -> None:
    """A signature that leaves out what it is for is none."""
    carrier, request = a_genesys()
    weak = request.headers["signature-input"].replace('"audiohook-session-id" ', "")
    with pytest.raises(Forged, match="cover"):
        carrier.verify(replace(request, headers={**request.headers, "signature-input": weak}))


def test_exotels_key_may_be_in_the_address() -> None:
    """The applet's URL is all that Exotel lets one set."""
    carrier, request = an_exotel()
    keyed = replace(request, headers={}, form=(("key", "key"), ("CallSid", "1")))
    carrier.verify(keyed)
    with pytest.raises(Forged):
        carrier.verify(replace(keyed, form=(("key", "other"),)))


def test_a_token_of_another_algorithm_is_not_believed() -> None:
    """No algorithm, or one whose key would be public, is no signature."""
    carrier, request = a_vonage()
    claims = {"iat": int(NOW), "payload_hash": hashlib.sha256(request.body).hexdigest()}
    unsigned = jwt.encode(claims, None, "none")  # type: ignore[arg-type]
    with pytest.raises(Forged):
        carrier.verify(replace(request, headers={"authorization": f"Bearer {unsigned}"}))


def test_a_missing_secret_is_named() -> None:
    """With the table it belongs to, and what to do."""
    with pytest.raises(TelephonyError, match=r"\[telephony.twilio\].*TWILIO_ACCOUNT_SID.*set it"):
        Twilio(TwilioSettings(), Secrets("twilio", {}))


# Tickets


def test_a_ticket_is_good_once_and_for_a_minute() -> None:
    """Who has it gets in; nobody with it again, nobody late, nobody with a made-up one."""
    tickets = Tickets()
    ticket = tickets.issue("a call", 0.0)
    assert len(ticket) >= 32
    assert tickets.redeem(ticket, str, TICKET_S - 0.1) == "a call"
    with pytest.raises(Forged):
        tickets.redeem(ticket, str, 0.0)
    late = tickets.issue("a call", 0.0)
    with pytest.raises(Forged):
        tickets.redeem(late, str, TICKET_S)
    for made_up in ("", "x" * 32, "é", late):
        with pytest.raises(Forged):
            tickets.redeem(made_up, str, 0.0)


def test_a_ticket_is_for_what_it_was_issued_for() -> None:
    """One for a transfer opens no media socket, and is used up by the attempt."""
    tickets = Tickets()
    ticket = tickets.issue("a call", 0.0)
    with pytest.raises(Forged):
        tickets.redeem(ticket, int, 0.0)
    with pytest.raises(Forged):
        tickets.redeem(ticket, str, 0.0)


def test_tickets_do_not_pile_up() -> None:
    """Whoever asks for many loses the first; the server keeps a bounded number."""
    tickets = Tickets()
    issued = [tickets.issue(number, 0.0) for number in range(TICKETS_MAX + 1)]
    assert tickets.redeem(issued[-1], int, 0.0) == TICKETS_MAX
    with pytest.raises(Forged):
        tickets.redeem(issued[0], int, 0.0)


def test_an_address_may_not_ask_for_ever() -> None:
    """A burst, then its rate; others are not kept from asking."""
    strangers = Strangers(per_s=1.0, burst=3)
    assert [strangers.allows("a", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert strangers.allows("b", 0.0)
    assert strangers.allows("a", 1.0)
    for number in range(5000):
        strangers.allows(f"192.0.2.{number}", 1.0)
    assert len(strangers._rates) <= 1000
