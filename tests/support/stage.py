"""A hand on the sandbox behind a running PHANTOM: a business is set up there as Stripe would know it."""

import json
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg

from tests.support.stack import Home


@dataclass
class Stage:
    """A running PHANTOM and the sandbox behind it."""

    home: Home
    sandbox: str

    @classmethod
    def of(cls, home: Home) -> "Stage":
        ports = json.loads((home.folder / "ports.json").read_text())
        return cls(home, f"http://127.0.0.1:{ports['sandbox']}")

    @property
    def url(self) -> str:
        return self.home.url

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the sandbox's control endpoints."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.sandbox}{path}", data=data)  # noqa: S310  # a loopback address
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def act(self, action: str, /, **given: Any) -> Any:
        """Do what a person or a bank does."""
        return self.control(f"/_sandbox/actions/{action}", given)["result"]

    def merchant_of(self, account: str) -> str | None:
        """The merchant an account is connected as; None for one that PHANTOM does not know."""
        told = json.loads((self.home.folder / "environment.json").read_text())
        with psycopg.connect(told["DATABASE_SYSTEM_URL"]) as connection:
            query = "select merchant_id from stripe_accounts where stripe_user_id = %s"
            found = connection.execute(query, [account]).fetchone()
        return str(found[0]) if found else None

    def open_account(self, name: str, owner: str = "owner@example.com") -> str:
        """A business that bills through Stripe and has not met PHANTOM yet; its account id."""
        account: str = self.act("create_account", name=name, email=owner)["id"]
        return account

    def subscriber(
        self, account: str, name: str, email: str, *, amount: int = 4900, currency: str = "usd"
    ) -> dict[str, Any]:
        """A customer with a card that works and a monthly subscription."""
        customer = self.act("create_customer", account=account, name=name, email=email)
        card = self.act("create_card", account=account, token="visa")
        self.act(
            "attach_payment_method", account=account, payment_method=card["id"], customer=customer["id"], default=True
        )
        price = self.act("create_price", account=account, unit_amount=amount, currency=currency)
        subscription = self.act("create_subscription", account=account, customer=customer["id"], price=price["id"])
        renews_at = subscription["items"]["data"][0]["current_period_end"]
        return {"customer": customer["id"], "card": card["id"], "renews_at": renews_at}

    def spoil_card(self, account: str, who: dict[str, Any], decline_code: str) -> None:
        """From now on the bank says no to this customer's card."""
        self.act("set_card_behaviour", account=account, payment_method=who["card"], decline_code=decline_code)

    def advance_past(self, moment: int) -> None:
        """Let time pass for Stripe and PHANTOM alike until two hours after `moment`: a renewal is drafted first."""
        self.control("/_sandbox/advance", {"to": moment + 7_200})

    def wait(self, seconds: int) -> None:
        """Let a little time pass for both."""
        self.control("/_sandbox/advance", {"seconds": seconds})

    def mailbox(self, address: str) -> str:
        """Where the customer with this address reads their mail."""
        return f"{self.sandbox}/outbox?{urlencode({'to': address})}"
