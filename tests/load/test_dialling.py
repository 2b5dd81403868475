"""Which line an agent is called on."""

import pytest

from voice_agent.load.caller import Caller
from voice_agent.load.dialling import TRANSPORTS, dialled, serving
from voice_agent.load.errors import CallError
from voice_agent.load.impairment import Network
from voice_agent.load.phone import Phone

URL = "http://127.0.0.1:1"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_line_can_be_called_on(transport: str) -> None:
    """A browser's, the realtime API's, and each carrier's."""
    caller = dialled(transport, URL)
    assert isinstance(caller, Caller if transport == "webrtc" else Phone)


def test_a_line_that_there_is_not_is_named_with_those_there_are() -> None:
    """In words."""
    with pytest.raises(
        CallError, match=r"no line is called 'tin-can'; there are: webrtc, realtime,"
    ):
        dialled("tin-can", URL)


def test_only_a_telephones_network_can_be_impaired() -> None:
    """A browser's is the real one."""
    with pytest.raises(CallError, match="for telephone lines only"):
        dialled("webrtc", URL, network=Network(delay_ms=10))


def test_a_server_of_ones_own_is_told_which_carriers_call() -> None:
    """Each once, and that they sign nothing."""
    assert serving(["webrtc"]) == []
    assert serving(["webrtc", "asterisk", "jambonz", "twilio"]) == [
        "--set=telephony.bridge={}",
        "--set=telephony.twilio={}",
        "--insecure-dev",
    ]
