"""Customers whom only texts reach: texts go by day alone, and have no key that makes a repeat harmless."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from cli.paths import ROOT
from tests.chaos.business import Business
from tests.support.wait import wait_until

MORNING, EVENING = 8, 20  # an hour of the legal day is left, however long a test takes
# A country of one time each, and its numbers. It is day in one of them at every moment.
PLACES = (("JP", "Asia/Tokyo", "+81901234560{}"), ("AR", "America/Argentina/Buenos_Aires", "+549112345670{}"))
_SMS_ON = """update merchants set policy = policy || '{"sms": true}' where id = %s"""
# As the screen and an import record it: who agreed, when, and that they did.
_AGREE = """
import sys
from datetime import timedelta
from core import clock, db
from services.messaging import consents
merchant, *numbers = sys.argv[1:]
at = clock.now() - timedelta(days=1)
words = [consents.read(channel="sms", address=each, happened_at=at, state="granted") for each in numbers]
with db.tenant_session(merchant) as session:
    consents.record(session, merchant, words, "owner")
"""


@dataclass
class Texted:
    """A business that sends texts, and the number of each customer by their invoice."""

    business: Business
    numbers: dict[str, str]

    @classmethod
    def open(cls, business: Business, customers: int) -> "Texted":
        """That many payments have failed, of customers without an address who agreed to texts; nobody was told."""
        country, number = by_day(business)
        numbers = {invoice: number.format(index) for index, invoice in enumerate(business.fail(customers))}
        act = business.arena.stage.act
        for invoice, phone in numbers.items():
            customer = business.read(f"invoices/{invoice}")["customer"]
            known = {"email": None, "phone": phone, "address": {"country": country}}
            act("edit_object", account=business.account, kind="customer", identifier=customer, fields=known)
            nothing = {"customer_email": None}
            act("edit_object", account=business.account, kind="invoice", identifier=invoice, fields=nothing)
        with business.arena.owner() as database:
            database.execute(_SMS_ON, [business.merchant])
        asked = [sys.executable, "-c", _AGREE, business.merchant, *numbers.values()]
        told = {**os.environ, **business.arena.told}
        subprocess.run(asked, cwd=ROOT, env=told, check=True, capture_output=True)  # noqa: S603  # ours, above
        return cls(business, numbers)

    def sent(self, invoice: str) -> list[dict[str, Any]]:
        """What the provider has accepted for the customer of an invoice."""
        found = self.business.arena.stage.control("/_sandbox/outbox?contents=1&limit=1000")["data"]
        return [each for each in found if each["channel"] == "sms" and each["to"] == [self.numbers[invoice]]]

    def die_over(self, invoice: str, point: str) -> None:
        """Stripe tells of this invoice, and whoever passes the point on the way to its text dies there."""
        arena = self.business.arena
        arena.arm(point)
        self.business.announce(invoice)
        wait_until(lambda: not arena.armed(), timeout=90, what=f"somebody died at {point}")
        arena.wait_until_well()
        arena.wait_until_quiet()

    def states(self, invoice: str) -> list[str]:
        """What PHANTOM says became of its messages about an invoice, in their order."""
        query = """select m.state from messages m
            join ghost_targets g on g.merchant_id = m.merchant_id and g.id = m.ghost_id
            where m.merchant_id = %(merchant)s and g.invoice_id = %(invoice)s order by m.step"""
        found = self.business.arena.rows(query, merchant=self.business.merchant, invoice=invoice)
        return [message["state"] for message in found]


def by_day(business: Business) -> tuple[str, str]:
    """A country in which texts may be sent now, and how its numbers begin."""
    now = business.arena.clock.now()
    here = (place for place in PLACES if MORNING <= now.astimezone(ZoneInfo(place[1])).hour < EVENING)
    country, _, number = next(here)
    return country, number
