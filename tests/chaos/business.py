"""A merchant's business at the sandbox, whose customers' payments fail, and who act: the cause of all that happens."""

import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg

from tests.chaos.arena import Arena
from tests.support.wait import wait_until

AMOUNT = 4900
METER = "phantom_usd"
_PAY_LINK = re.compile(r"https?://\S+/r/[\w-]+")
# Messages may go at once, at any hour; nothing else differs from what a merchant gets.
_POLICY = '{"paused": false, "quiet_from_hour": 24, "quiet_until_hour": 0}'


@dataclass
class Business:
    """One account, its customers with one failed invoice each, and what was done: the harness's half of the ledger."""

    arena: Arena
    name: str
    account: str
    merchant: str = ""
    cookie: str = ""
    connected_at: float = 0.0
    invoices: list[str] = field(default_factory=list)
    announced: dict[str, str] = field(default_factory=dict)
    """Invoices whose failure was told, by the event that told it."""
    cards: dict[str, str] = field(default_factory=dict)
    """New cards by the invoice they are to pay."""
    clicks: int = 0
    """Clicks that PHANTOM acknowledged."""
    clicks_unanswered: int = 0
    customer: str = ""
    """Who this business is to the operator that bills it."""

    @classmethod
    def open(cls, arena: Arena, name: str, customers: int = 0) -> "Business":
        """A business that is connected, writes to its customers, and has `customers` whose payment failed unheard."""
        business = cls(arena, name, "")
        business.account = arena.stage.open_account(name, business.owner)
        business.connect()
        business.start_messages()
        business.wait_for_hunts(1)
        if customers:
            business.fail(customers)
        return business

    # -- the merchant -------------------------------------------------------------------------------------------

    def connect(self, timeout: float = 60) -> None:
        """Through the front door, like a browser; begun anew for as long as that takes."""
        wait_until(self._connected, timeout=timeout, what=f"{self.name} is connected")
        self.connected_at = self.connected_at or self.arena.clock.now().timestamp()
        found = self.arena.stage.merchant_of(self.account)
        assert found is not None
        self.merchant = found

    def _connected(self) -> bool:
        url = self.arena.home.url
        try:
            with httpx.Client(base_url=url, timeout=20, trust_env=False) as browser:
                location = browser.get("/api/auth/stripe").headers.get("location", "")
                asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
                if "state" not in asked:
                    return False
                code = self.arena.stage.act(
                    "create_authorization_code",
                    account=self.account,
                    scope="read_write",
                    code_challenge=asked["code_challenge"],
                    redirect_uri=asked["redirect_uri"],
                )
                answer = browser.get(f"/api/auth/callback?scope=read_write&code={code}&state={asked['state']}")
                if answer.headers.get("location") != "/welcome":
                    return False
                self.cookie = browser.cookies["phantom_session"]
        except httpx.HTTPError:
            return False
        return True

    def start_messages(self) -> None:
        """What the merchant's switch does, without a screen."""
        with self.arena.owner() as database:
            database.execute("update merchants set policy = %s::jsonb where id = %s", [_POLICY, self.merchant])

    def wait_for_hunts(self, number: int, timeout: float = 90) -> None:
        """Return when that many hunts of this business are over; the first comes with connecting."""
        query = "select id from hunts where merchant_id = %(merchant)s and state = 'done'"

        def over() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                return len(self.arena.rows(query, merchant=self.merchant)) >= number
            return False

        wait_until(over, timeout=timeout, what=f"{number} hunts are over")

    # -- its customers ------------------------------------------------------------------------------------------

    def fail(self, customers: int, decline_code: str = "expired_card", amount: int = AMOUNT) -> list[str]:
        """That many customers' renewals have failed, and nobody was told; the invoices' ids."""
        told = {"account": self.account, "customers": customers, "amount": amount, "decline_codes": [decline_code]}
        self.arena.stage.control("/_sandbox/seed", {**told, "seed": self.name})
        self.invoices = [invoice["id"] for invoice in self.listed("invoices")]
        return self.invoices

    def announce(self, invoice_id: str) -> None:
        """Stripe says that an invoice could not be paid."""
        invoice = self.read(f"invoices/{invoice_id}")
        event = self.arena.stage.act("send_event", account=self.account, name="invoice.payment_failed", obj=invoice)
        self.announced[invoice_id] = event["id"]

    def mails(self, invoice_id: str | None = None) -> list[dict[str, Any]]:
        """What the provider has accepted for this business (or one customer of it), oldest first."""
        found = self.arena.stage.control("/_sandbox/outbox?contents=1&limit=1000")["data"]
        mine = [mail for mail in reversed(found) if f'"{self.name}"' in mail["from"]]
        if invoice_id is None:
            return mine
        address = self.read(f"invoices/{invoice_id}")["customer_email"]
        return [mail for mail in mine if mail["to"] == [address]]

    def mails_to_owner(self) -> list[dict[str, Any]]:
        """What the provider has accepted for who connected the account: mails of PHANTOM itself."""
        found = self.arena.stage.control("/_sandbox/outbox?contents=1&limit=1000")["data"]
        return [mail for mail in found if mail["to"] == [self.owner]]

    @property
    def owner(self) -> str:
        """The address of who connected the account."""
        return f"owner@{self.name.lower().replace(' ', '-')}.example"

    def confirm_owner(self) -> None:
        """What the owner's click in the mail to confirm an address does."""
        with self.arena.owner() as database:
            changed = database.execute("update users set email_verified_at = now() where email = %s", [self.owner])
            assert changed.rowcount == 1

    # -- the operator -------------------------------------------------------------------------------------------

    def bill(self) -> None:
        """From today on the operator bills this business by a meter in dollars."""
        meters = self._platform("GET", "billing/meters")["data"]
        if not any(meter["event_name"] == METER for meter in meters):
            facts = {"display_name": METER, "event_name": METER, "default_aggregation[formula]": "sum"}
            self._platform("POST", "billing/meters", facts)
        self.customer = str(self._platform("POST", "customers", {"name": self.name})["id"])
        with self.arena.owner() as database:
            statement = "update merchants set usage_customer_id = %s, usage_since = %s where id = %s"
            database.execute(statement, [self.customer, self.arena.clock.now().date(), self.merchant])

    def billed(self) -> int:
        """What the operator's meter holds of this business."""
        (meter,) = [one for one in self._platform("GET", "billing/meters")["data"] if one["event_name"] == METER]
        until = int(self.arena.clock.now().timestamp()) // 60 * 60
        asked = f"customer={self.customer}&start_time={until - 30 * 86_400}&end_time={until}"
        found = self._platform("GET", f"billing/meters/{meter['id']}/event_summaries?{asked}")["data"]
        return int(sum(float(one["aggregated_value"]) for one in found))

    def _platform(self, method: str, path: str, data: dict[str, str] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.arena.told['STRIPE_SECRET_KEY']}"}
        url = f"{self.arena.stage.sandbox}/v1/{path}"
        answer = httpx.request(method, url, headers=headers, data=data, timeout=30, trust_env=False)
        answer.raise_for_status()
        return dict(answer.json())

    def mail_again(self, invoice_id: str) -> None:
        """Hand the provider the same message under another key, as PHANTOM must never do."""
        body = self.mails(invoice_id)[0]["body"]
        told = {name: body[name] for name in ("from", "to", "subject", "html", "text", "headers", "tags")}
        headers = {"Authorization": f"Bearer {self.arena.told['RESEND_API_KEY']}", "Idempotency-Key": "another"}
        url = f"{self.arena.stage.sandbox}/emails"
        httpx.post(url, json=told, headers=headers, timeout=20, trust_env=False).raise_for_status()

    def wait_for_mail(self, invoice_id: str, timeout: float = 90) -> dict[str, Any]:
        """The first mail to the customer of an invoice."""

        def mail() -> dict[str, Any] | None:
            return next(iter(self.mails(invoice_id)), None)

        return wait_until(mail, timeout=timeout, what=f"a mail about {invoice_id}; {self._unfinished()}")

    def click(self, invoice_id: str, timeout: float = 60) -> str:
        """The customer follows the link of their mail, again if it does not answer; where it leads."""
        found = _PAY_LINK.search(self.wait_for_mail(invoice_id)["body"]["text"])
        assert found is not None
        link = found[0]

        def followed() -> str:
            try:
                answer = httpx.post(link, timeout=20, trust_env=False)
            except httpx.HTTPError:
                self.clicks_unanswered += 1
                return ""
            if answer.status_code >= 500:
                self.clicks_unanswered += 1
                return ""
            self.clicks += 1
            return answer.headers["location"]

        return wait_until(followed, timeout=timeout, what="the link answers")

    def new_card(self, invoice_id: str) -> str:
        """The customer adds a card that works; its id."""
        card = self.arena.stage.act("create_card", account=self.account, token="visa")["id"]
        customer = self.read(f"invoices/{invoice_id}")["customer"]
        self.cards[invoice_id] = card
        self.arena.stage.act(
            "attach_payment_method", account=self.account, payment_method=card, customer=customer, default=True
        )
        return str(card)

    def wait_until_paid(self, invoice_id: str, timeout: float = 90) -> None:
        wait_until(
            lambda: self.read(f"invoices/{invoice_id}")["status"] == "paid",
            timeout=timeout,
            what=f"{invoice_id} is paid; {self._unfinished()}",
        )

    def _unfinished(self) -> object:
        try:
            return self.arena.unfinished()
        except psycopg.OperationalError as error:
            return error

    # -- the world's own account of it --------------------------------------------------------------------------

    def read(self, path: str) -> dict[str, Any]:
        """One object of the account, as the sandbox has it."""
        headers = {"Authorization": f"Bearer {self.arena.told['STRIPE_SECRET_KEY']}", "Stripe-Account": self.account}
        deadline = time.monotonic() + 20
        while True:  # a sandbox that was told to make trouble makes it for us too
            answer = httpx.get(f"{self.arena.stage.sandbox}/v1/{path}", headers=headers, timeout=30, trust_env=False)
            if answer.status_code == 200:
                return dict(answer.json())
            assert time.monotonic() < deadline, answer.text

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.read(f"{kind}?limit=100{after}")
            found += page["data"]
            if not page["has_more"]:
                return found
            after = f"&starting_after={found[-1]['id']}"
