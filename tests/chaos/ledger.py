"""The judge: what the harness did and the vendors really saw, against what PHANTOM says. Nothing lost, nothing doubled.

PHANTOM's tables are asked what it believes; whether that is right is decided by the sandbox's own books (its events,
charges and invoices, and the mail its provider accepted) and by what the harness sent and was acknowledged.
"""

import itertools
from collections import Counter, defaultdict
from typing import Any

from services.handshake.service import HANDLED_TYPES
from tests.chaos.business import AMOUNT, Business
from tests.support.wait import wait_until

COOLDOWN_SECONDS = 72 * 3600
_ACCEPTED = ("sent", "delivered")
_SETTLED = (*_ACCEPTED, "uncertain")


def judge(business: Business, *, clock_went_back: bool = False, patience: float = 60) -> dict[str, int]:
    """Raise `AssertionError` for anything lost, doubled or out of step; else what happened, in figures.

    What the Sentinel has just scheduled is not stuck; what is there after `patience` seconds is.
    """
    book = _Book(business)
    book.events_are_handled_once()
    book.ghosts_are_the_failed_invoices()
    book.nobody_paid_twice()
    book.mails_are_the_messages(clock_went_back=clock_went_back)
    book.recoveries_are_the_payments()
    book.sums_are_those_of_a_recount()
    book.nothing_is_left_undone(patience)
    return book.figures()


class _Book:
    def __init__(self, business: Business) -> None:
        self.business, self.arena = business, business.arena
        # The world's side
        self.invoices = {invoice["id"]: invoice for invoice in business.listed("invoices")}
        self.charges = business.listed("charges")
        self.events = [event for event in business.listed("events") if event["created"] >= int(business.connected_at)]
        self.mails = business.mails()
        # PHANTOM's side
        self.ghosts = self._rows("select * from ghost_targets where merchant_id = %(merchant)s")
        self.messages = self._rows("select * from messages where merchant_id = %(merchant)s")
        self.recoveries = self._rows("select * from recoveries where merchant_id = %(merchant)s and kind <> 'credited'")

    def _rows(self, query: str) -> list[dict[str, Any]]:
        return self.arena.rows(query, merchant=self.business.merchant)

    @property
    def paid(self) -> dict[str, dict[str, Any]]:
        return {key: invoice for key, invoice in self.invoices.items() if invoice["status"] == "paid"}

    def events_are_handled_once(self) -> None:
        """Every event that Stripe got a 200 for is there, and was handled; the deliveries are all done by now."""
        expected = {event["id"] for event in self.events if event["type"] in HANDLED_TYPES}
        expected |= set(self.business.announced.values())
        query = """select event.id, handled_at, outcome, payload is null as emptied,
                (select count(*) from scheduled_tasks where key = 'event:' || event.id and state = 'done') as done
            from processed_events event where merchant_id = %(merchant)s and type = any(%(types)s)"""
        stored = {
            row["id"]: row
            for row in self.arena.rows(query, merchant=self.business.merchant, types=sorted(HANDLED_TYPES))
        }
        assert expected <= stored.keys(), f"lost events: {expected - stored.keys()}"
        for row in stored.values():
            assert row["handled_at"] is not None, row
            assert row["emptied"], row
            assert row["done"] == 1, row

    def ghosts_are_the_failed_invoices(self) -> None:
        found = Counter(ghost["invoice_id"] for ghost in self.ghosts)
        assert set(found) <= self.invoices.keys()
        assert not {key for key, count in found.items() if count > 1}
        assert self.business.announced.keys() <= found.keys(), "an announced failure made no ghost"

    def nobody_paid_twice(self) -> None:
        """By the bank's book: one successful charge a payment, and one attempt a card that was added."""
        succeeded = Counter(charge["payment_intent"] for charge in self.charges if charge["status"] == "succeeded")
        assert not {intent for intent, count in succeeded.items() if count > 1}, succeeded
        assert sum(succeeded.values()) == len(self.paid)
        attempts = Counter(charge["payment_method"] for charge in self.charges)
        for invoice_id, card in self.business.cards.items():
            assert attempts[card] == 1, f"the new card of {invoice_id} was charged {attempts[card]} times"
            assert self.invoices[invoice_id]["status"] == "paid", invoice_id

    def mails_are_the_messages(self, *, clock_went_back: bool) -> None:
        """By the provider's book: each step once, never after paying, in due distance, and PHANTOM knows of each."""
        by_ghost: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in self.messages:
            by_ghost[message["ghost_id"]].append(message)
        accepted = {mail["id"]: mail for mail in self.mails}
        ours = Counter(mail["tags"]["phantom_message"] for mail in self.mails)
        assert not {key for key, count in ours.items() if count > 1}, f"sent twice: {ours}"
        known = {message["id"]: message for message in self.messages}
        assert ours.keys() <= known.keys(), "the provider has a message that PHANTOM does not know"
        for message in self.messages:
            assert message["state"] in _SETTLED, message
            if message["state"] in _ACCEPTED:
                assert message["provider_message_id"] in accepted, message
                assert ours[message["id"]] == 1
        for ghost in self.ghosts:
            self._right_mails(ghost, by_ghost[ghost["id"]], clock_went_back=clock_went_back)

    def _right_mails(self, ghost: dict[str, Any], messages: list[dict[str, Any]], *, clock_went_back: bool) -> None:
        invoice = self.invoices[ghost["invoice_id"]]
        mails = [mail for mail in self.mails if mail["to"] == [invoice["customer_email"]]]
        assert len(mails) == sum(message["state"] in _ACCEPTED for message in messages) + sum(
            mail["tags"]["phantom_message"] in {m["id"] for m in messages if m["state"] == "uncertain"}
            for mail in mails
        )
        assert len(mails) <= 3
        paid_at = invoice["status_transitions"]["paid_at"]
        if not clock_went_back:
            moments = [mail["created"] for mail in mails]
            for former, later in itertools.pairwise(moments):
                assert later - former >= COOLDOWN_SECONDS - 1, f"two messages within the cooldown: {moments}"
            assert paid_at is None or all(moment <= paid_at + 1 for moment in moments), "a message after paying"
        if ghost["state"] in ("open", "contacted", "clicked"):
            assert mails or any(m["state"] == "uncertain" for m in messages), f"nobody wrote about {invoice['id']}"

    def recoveries_are_the_payments(self) -> None:
        """One recovery an invoice that was a ghost and is paid now, of what was paid; and none other."""
        paid = {ghost["id"]: self.invoices[ghost["invoice_id"]] for ghost in self.ghosts if self._is_paid(ghost)}
        assert Counter(row["ghost_id"] for row in self.recoveries) == Counter(paid.keys())
        for row in self.recoveries:
            assert row["amount_cents"] == paid[row["ghost_id"]]["amount_paid"] == AMOUNT
            assert row["source_id"] == paid[row["ghost_id"]]["id"]

    def _is_paid(self, ghost: dict[str, Any]) -> bool:
        return bool(self.invoices[ghost["invoice_id"]]["status"] == "paid")

    def sums_are_those_of_a_recount(self) -> None:
        """`daily_metrics` and `merchant_totals` against the vendors' books and the harness's own counting."""
        ghosts, paid = len(self.ghosts), len(self.recoveries)
        counted = [message for message in self.messages if message["state"] in _SETTLED]
        clicks = self._rows("select ghost_id, confirmed_at from clicks where merchant_id = %(merchant)s")
        expected = {
            "found_count": ghosts, "found_cents": ghosts * AMOUNT,
            "recovered_count": paid, "recovered_cents": paid * AMOUNT,
            "messages_count": len(counted), "clicks_count": len(clicks),
            "billed_count": ghosts, "billed_cents": ghosts * AMOUNT,
            "cohort_messaged_count": len({message["ghost_id"] for message in counted}),
            "cohort_clicked_count": len({click["ghost_id"] for click in clicks}),
            "cohort_clicked_recovered_count": self._paid_after_a_click(clicks),
            "cohort_recovered_count": paid, "cohort_recovered_cents": paid * AMOUNT,
            "lost_count": 0, "reversed_count": 0,
        }  # fmt: skip
        assert self._summed("daily_metrics", *expected) == expected
        assert self.business.clicks <= len(clicks) <= self.business.clicks + self.business.clicks_unanswered
        chased = sum(ghost["state"] in ("open", "contacted", "clicked", "paused") for ghost in self.ghosts)
        open_now = {"leakage_cents": (ghosts - paid) * AMOUNT, "recovered_cents": paid * AMOUNT, "open_ghosts": chased}
        assert self._summed("merchant_totals", *open_now) == open_now

    def _paid_after_a_click(self, clicks: list[dict[str, Any]]) -> int:
        """By Stripe's book of when each was paid, which knows whole seconds."""
        paid_at = {
            ghost["id"]: self.invoices[ghost["invoice_id"]]["status_transitions"]["paid_at"]
            for ghost in self.ghosts
            if self._is_paid(ghost)
        }
        return len(
            {
                click["ghost_id"]
                for click in clicks
                if click["ghost_id"] in paid_at and click["confirmed_at"].timestamp() <= paid_at[click["ghost_id"]] + 1
            }
        )

    def _summed(self, table: str, *columns: str) -> dict[str, int]:
        sums = ", ".join(f"coalesce(sum({name}), 0)::bigint as {name}" for name in columns)
        return self._rows(f"select {sums} from {table} where merchant_id = %(merchant)s")[0]  # noqa: S608  # names from here

    def nothing_is_left_undone(self, patience: float) -> None:
        query = """select id, kind, state, deaths, attempts, last_error from scheduled_tasks
            where merchant_id = %(merchant)s
                and (state in ('running', 'dead') or state = 'pending' and run_at <= %(now)s)"""

        def left() -> list[dict[str, Any]]:
            return self.arena.rows(query, merchant=self.business.merchant, now=self.arena.clock.now())

        wait_until(lambda: not left(), timeout=patience, what=f"no task is stuck: {left()}")
        started = self._rows("select * from payment_attempts where merchant_id = %(merchant)s and state = 'started'")
        assert not started, started

    def figures(self) -> dict[str, int]:
        return {
            "events": len(self.events),
            "ghosts": len(self.ghosts),
            "mails": len(self.mails),
            "charges": len(self.charges),
            "recovered": len(self.recoveries),
        }
