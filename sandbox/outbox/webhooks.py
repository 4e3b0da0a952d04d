"""What happens to a message after it was accepted, and telling the sender: queued, signed, posted, retried.

Resend posts JSON signed by Svix to one configured URL; Twilio posts a signed form to the URL each message names.
In pull mode (the sandbox's `--pull`) nothing is posted; a driver takes what is due.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import orjson

from core import clock
from sandbox.outbox.signing import svix_headers, twilio_signature
from sandbox.outbox.store import Json, Message, Outbox, bare, iso, outbox_of

if TYPE_CHECKING:
    from sandbox.stripe.world import World

log = logging.getLogger(__name__)

EVENTS = (
    "sent", "delivered", "delivery_delayed", "bounced", "complained", "failed", "suppressed", "opened", "clicked",
)  # fmt: skip
OUTCOMES = ("delivered", "bounced", "complained", "delivery_delayed", "failed", "suppressed")
RETRY_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)  # Svix's schedule
PARALLEL = 8
TICK = 0.25  # another process may move the shared clock, so due times are looked at again and again


@dataclass(frozen=True)
class Posting:
    """One signed request, ready to be posted."""

    id: str
    url: str
    headers: dict[str, str]
    body: bytes
    type: str
    attempt: int


class Postman:
    """Events and their deliveries on one outbox."""

    def __init__(self, outbox: Outbox, *, delivers: Callable[[], bool] = lambda: True) -> None:
        self.outbox, self._delivers = outbox, delivers
        self._in_flight: set[str] = set()
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- what happens to messages -------------------------------------------------------------------------------

    def accepted(self, message: Message, team: str) -> None:
        """A mail was accepted: it is sent, and then what its recipient's mailbox does."""
        outcome = self.outcome_for(message.to[0], team)
        if outcome == "suppressed":
            self.report(message.id, "suppressed", team=team)
            return
        self.report(message.id, "sent", team=team)
        if outcome == "complained":
            self.report(message.id, "delivered", team=team)
        self.report(message.id, outcome, team=team)

    def outcome_for(self, recipient: str, team: str) -> str:
        """What becomes of mail to an address: as configured, as Resend's own test addresses say, else delivered."""
        address = bare(recipient)
        told = self.outbox.setting("outcomes", {}).get(address)
        if told:
            return str(told)
        local, _, domain = address.partition("@")
        if domain == "resend.dev" and local.partition("+")[0] in OUTCOMES:
            return local.partition("+")[0]
        return "suppressed" if address in self.outbox.setting(f"suppressed:{team}", []) else "delivered"

    def report(self, message_id: str, kind: str, *, team: str = "", details: Json | None = None) -> str:
        """Something happened to a mail (one of EVENTS); its id. Unknown messages and kinds raise."""
        message = self.outbox.get(message_id)
        if message is None or kind not in EVENTS:
            raise KeyError(message_id if message is None else kind)
        payload = _payload(message, kind, details or {})
        with self.outbox.transaction():
            identifier = self.outbox.add_event(message_id, f"email.{kind}", payload, status=kind)
            if team and kind in ("bounced", "complained"):
                self._suppress(team, message.to)
            if self.outbox.setting("webhook"):
                row = {"vendor": "resend", "type": payload["type"], "payload": payload, "attempt": 1}
                self.outbox.put_delivery(identifier, clock.now().timestamp(), row)
        self.notify()
        return identifier

    def _suppress(self, team: str, addresses: list[str]) -> None:
        name = f"suppressed:{team}"
        known = self.outbox.setting(name, [])
        self.outbox.set(name, sorted({*known, *map(bare, addresses)}))

    def call_back(self, url: str, token: str, form: dict[str, str]) -> None:
        """Queue a Twilio callback."""
        row = {"vendor": "twilio", "type": "sms.callback", "url": url, "token": token, "form": form, "attempt": 1}
        self.outbox.put_delivery(f"cb_{uuid.uuid4().hex}", clock.now().timestamp(), row)
        self.notify()

    # -- the queue ----------------------------------------------------------------------------------------------

    def take_deliveries(self, limit: int | None = None) -> list[Posting]:
        """Pull mode: what is due now, signed and regarded as delivered."""
        taken = self.due(limit)
        for posting in taken:
            self.done(posting)
        return taken

    def due(self, limit: int | None = None) -> list[Posting]:
        """What is due now and not in flight, signed; each must be settled by `done` or `failed`."""
        with self.outbox.lock:
            rows = self.outbox.deliveries(due=clock.now().timestamp())
            found = [posting for row in rows if row["id"] not in self._in_flight and (posting := self._sign(row))]
            chosen = found[:limit]
            self._in_flight |= {posting.id for posting in chosen}
            return chosen

    def done(self, posting: Posting) -> None:
        """The receiver answered 2xx."""
        self.outbox.drop_delivery(posting.id)
        self._in_flight.discard(posting.id)

    def failed(self, posting: Posting) -> None:
        """It did not: again after the next pause, or never after the last."""
        with self.outbox.transaction():
            row = next((row for row in self.outbox.deliveries() if row["id"] == posting.id), None)
            if row and row["attempt"] <= len(RETRY_SECONDS):
                later = clock.now().timestamp() + RETRY_SECONDS[row["attempt"] - 1]
                kept = {name: value for name, value in row.items() if name not in ("id", "due")}
                self.outbox.put_delivery(posting.id, later, kept | {"attempt": row["attempt"] + 1})
            else:
                self.outbox.drop_delivery(posting.id)
        self._in_flight.discard(posting.id)

    def _sign(self, row: Json) -> Posting | None:
        if row["vendor"] == "twilio":
            headers = {
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Twilio-Signature": twilio_signature(row["token"], row["url"], row["form"]),
            }
            return Posting(row["id"], row["url"], headers, urlencode(row["form"]).encode(), row["type"], row["attempt"])
        webhook = self.outbox.setting("webhook")
        if not webhook:
            return None
        body = orjson.dumps(row["payload"])
        headers = {"Content-Type": "application/json", "User-Agent": "Svix-Webhooks/1.69"}
        headers |= svix_headers(webhook["secret"], row["id"], clock.timestamp(), body)
        return Posting(row["id"], webhook["url"], headers, body, row["type"], row["attempt"])

    # -- posting ------------------------------------------------------------------------------------------------

    def notify(self) -> None:
        """Something may be due; may be called from any thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Post what is due until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            async with httpx.AsyncClient(timeout=15, trust_env=False) as client:
                while True:
                    due = self.due(PARALLEL) if self._delivers() else []
                    await asyncio.gather(*(self._post(client, posting) for posting in due))
                    if not due:
                        self._idle.set()
                        self._wake.clear()
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self._wake.wait(), TICK)
        finally:
            self._loop = None

    async def wait_idle(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's own limit, answered as False
        """True when nothing is due or in flight any more. Needs `run` under way, or nothing to post."""
        try:
            async with asyncio.timeout(timeout):
                while self._in_flight or self.outbox.deliveries(due=clock.now().timestamp()):
                    self._idle.clear()
                    self._wake.set()
                    await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _post(self, client: httpx.AsyncClient, posting: Posting) -> None:
        try:
            answer = await client.post(posting.url, content=posting.body, headers=posting.headers)
            taken = answer.is_success
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("%s to %s: %s", posting.type, posting.url, type(error).__name__)
            taken = False
        (self.done if taken else self.failed)(posting)


_DETAILS: dict[str, Json] = {
    "bounced": {
        "bounce": {
            "message": "The recipient's email address does not exist.",
            "subType": "General",
            "type": "Permanent",
        }
    },
    "failed": {"failed": {"reason": "reached_daily_quota"}},
    "suppressed": {
        "suppressed": {"message": "The address is on the suppression list.", "type": "OnAccountSuppressionList"}
    },
}


def _payload(message: Message, kind: str, details: Json) -> Json:
    """A webhook body as Resend documents it; tags are an object here, a list when sending."""
    data: dict[str, Any] = {
        "created_at": iso(message.created),
        "email_id": message.id,
        "from": message.sender,
        "to": message.to,
        "subject": message.subject,
    }
    if message.tags:
        data["tags"] = message.tags
    data |= _DETAILS.get(kind, {}) | details
    return {"type": f"email.{kind}", "created_at": iso(clock.now().timestamp()), "data": data}


def postman_of(world: "World") -> Postman:
    """The world's postman, made when first asked for."""
    found: Postman | None = world.beside.get("postman")
    if found is None:
        found = world.beside["postman"] = Postman(outbox_of(world), delivers=lambda: world.settings.deliver)
    return found
