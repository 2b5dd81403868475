"""What a carrier is to the server: how it is known, how its calls are answered and controlled."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from voice_agent.transports.telephony.security import Request
from voice_agent.transports.telephony.wire import Wire, text


class TelephonyError(Exception):
    """Telephony is not set up, or a carrier refuses; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook is answered with."""

    content: str
    media_type: str = "application/xml"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call that a webhook announces."""

    carrier: str
    call_id: str
    caller: str = ""
    """The telephone number that calls, or is called by us: what the cap per address counts."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A call that we hand over, until the carrier asks where to."""

    carrier: str
    to: str


@dataclass(frozen=True, slots=True)
class AnsweredBy:
    """A carrier's verdict on who has answered an outbound call."""

    call_id: str
    machine: bool


@dataclass(frozen=True, slots=True)
class Dialled:
    """An outbound call that the carrier has accepted."""

    call_id: str


def xml(content: str) -> Answer:
    """Return instructions as Twilio writes them and others after it."""
    return Answer(f'<?xml version="1.0" encoding="UTF-8"?><Response>{content}</Response>')


def call_id(request: Request, field: str = "CallSid") -> str:
    """Return which call a webhook is about; raises BadMessage."""
    return text({field: request.field(field)}, field)


def answered_by(request: Request) -> AnsweredBy | None:
    """Return what Twilio's callback of asynchronous AMD says, or one like it; raises BadMessage."""
    said = request.field("AnsweredBy")
    machine = said.startswith(("machine", "fax"))
    return AnsweredBy(call_id(request), machine=machine) if said else None


def calling_from(number: str, carrier: str) -> str:
    """Return the number that outbound calls come from.

    Raises:
        TelephonyError: There is none.
    """
    if not number:
        raise TelephonyError(
            f"telephony.{carrier}.from_number is not set; it must be a number of yours, as in "
            "+15550100"
        )
    return number


class Secrets:
    """Secrets from the environment, by the names that the settings say."""

    def __init__(self, carrier: str, environ: Mapping[str, str], *, optional: bool = False) -> None:
        self._carrier = carrier
        self._environ = environ
        self._optional = optional

    def __call__(self, variable: str) -> str:
        """Return the value of an environment variable.

        Raises:
            TelephonyError: It is not set.
        """
        value = self._environ.get(variable, "")
        if not value and not self._optional:
            raise TelephonyError(
                f"[telephony.{self._carrier}]: the environment variable {variable} is not set; "
                "set it to what the carrier's console says, or remove the table"
            )
        return value


class Carrier(ABC):
    """One carrier; made once per process."""

    name: ClassVar[str]
    media_signature: ClassVar[str] = ""
    """Header of a request for a media socket that ``verify`` looks at, in lower case; "": none."""
    direct: ClassVar[bool] = False
    """Media sockets are opened without a webhook before them: ``verify`` lets them in, no ticket.
    """

    @abstractmethod
    def verify(self, request: Request) -> None:
        """See that a webhook, or a request for a media socket, comes from the carrier.

        Raises:
            Forged: It does not.
        """

    @abstractmethod
    def incoming(self, request: Request) -> Incoming:
        """Return which call a webhook announces; raises BadMessage."""

    @abstractmethod
    def answer(self, media_url: str, call: Incoming) -> Answer:
        """Return what makes the carrier open a media socket at ``media_url``."""

    @abstractmethod
    def busy(self) -> Answer:
        """Return what turns a call away because all lines are taken."""

    @abstractmethod
    def wire(self, call: Incoming | None = None) -> Wire:
        """Return the protocol of a new media socket, for the call that its ticket is for."""

    def direct_wire(self, request: Request) -> Wire:
        """Return the protocol of a media socket that was opened without a webhook.

        Raises:
            BadMessage: It asks for one that is not spoken here.
        """
        return self.wire()

    def event(self, request: Request) -> AnsweredBy | None:
        """Return what a status callback says that we act on, if anything; raises BadMessage."""
        return None

    # ----- through the carrier's REST API -----

    async def hang_up(self, call_id: str) -> None:
        """End a call; raises TelephonyError. Closing the media socket does it for most."""
        return None

    def transferred(self, to: str) -> Answer | None:
        """Return what answers the webhook of a transfer; None where there is none."""
        return None

    async def transfer(self, call_id: str, to: str, transfer_url: str) -> None:
        """Hand a call over to another number.

        Args:
            call_id: The call.
            to: Number to connect it to, as in +15550100.
            transfer_url: A webhook, good for once, that answers what ``transferred`` says.

        Raises:
            TelephonyError: The carrier refuses, or cannot.
        """
        raise TelephonyError(f"{self.name} cannot transfer calls from here")

    async def send_keys(self, call_id: str, keys: str) -> bool:
        """Send keys into a call; return False where they must be sent as sound.

        Raises:
            TelephonyError: The carrier refuses.
        """
        return False

    async def dial(self, to: str, answer_url: str, events_url: str, *, detect: bool) -> Dialled:
        """Call ``to``; who answers is connected as ``answer_url`` says.

        Args:
            to: Number to call, as in +15550100.
            answer_url: This server's webhook.
            events_url: Where the carrier reports what becomes of the call.
            detect: Ask for answering-machine detection.

        Raises:
            TelephonyError: The carrier refuses, or cannot.
        """
        raise TelephonyError(f"{self.name} cannot make calls from here")


class Rest:
    """A carrier's REST API, asked with a deadline; answers are JSON."""

    def __init__(self, base_url: str, authorization: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": authorization}

    @classmethod
    def basic(cls, base_url: str, user: str, password: str) -> Rest:
        """Return an API that is asked with a user and a password."""
        shown = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(base_url, f"Basic {shown}")

    async def __call__(
        self, method: str, path: str, *, allowed: tuple[int, ...] = (), **request: Any
    ) -> Any:
        """Ask and return the answer's JSON; None where there is none.

        Raises:
            TelephonyError: No answer, or a refusal that is not ``allowed`` (a status); the text
                has the status and the carrier's own words.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=10.0)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as http,
                http.request(method, self._base_url + path, **request) as response,
            ):
                content = await response.text()
                if response.status >= 400 and response.status not in allowed:
                    said = " ".join(content[:300].split())
                    raise TelephonyError(f"the carrier answers {response.status}: {said}")
                return await response.json(content_type=None) if content.strip() else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise TelephonyError(f"{self._base_url} cannot be asked: {why}") from error
