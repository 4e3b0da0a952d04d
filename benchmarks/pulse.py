"""A pulse of a merchant with very many ghosts due at once: how long until each has its task, and in how much memory?

`python -m benchmarks.pulse [GHOSTS]`; beside `phantom bench`, whose names are fixed. Half of the ghosts wait for their
first message and half for their second, some customers have two, and one in a hundred has asked for no more messages.
The control is the same pulse of a tenth of the ghosts, before; a second pulse right after must find nothing to do.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlmodel import Session, func, select

from benchmarks.__main__ import table
from benchmarks.harness import Row, audit, place
from benchmarks.machine import environment
from core import clock, db
from jobs import boot, pulse
from models.ghost import GhostTarget
from models.messaging import Channel
from models.work import ScheduledTask
from services.messaging import links
from services.messaging.schedule import EXHAUST
from services.tasks.schemas import ClaimedTask
from tests.support.factories import make_merchant

GHOSTS = 100_000
SILENT = 100  # one in so many customers has asked for no more messages
NOW = datetime(2026, 3, 10, 8, 30, tzinfo=UTC)  # 9:30 in Berlin: the second messages are due at ten

_GHOSTS = """
insert into ghost_targets (
    merchant_id, id, kind, state, found_via, invoice_id, subscription_id, customer_id, customer_email, customer_name,
    customer_language, customer_country, card_brand, card_funding, card_last4, country_code, requires_3ds,
    stripe_error_code, decline_code, advice_code, decline_group, api_shape, original_invoice_date, attempt_count,
    billing_reason, subscription_status, found_cents, amount_cents, currency, monthly_value_cents, strategy,
    strategy_reason, last_action, next_action, next_action_at, next_action_reason, found_at, found_on, messages_sent,
    contacted_at, click_count, close_reason, recovered_cents, mechanism, updated_at)
select %(merchant)s, 'gh_' || %(ghosts)s || '_' || number, 'failed', case when again then 'contacted' else 'open' end,
    'hunt', 'in_' || number, 'sub_' || number, 'cus_' || customer, 'customer' || customer || '@example.com', 'Ada',
    'de', 'de', 'visa', 'credit', '4242', 'de', false, 'card_declined', 'insufficient_funds', '', 'funds', 'basil',
    found_at, 2, 'subscription_cycle', 'past_due', 4900, 4900, 'eur', 4900, 'smart_retry', 'Not enough funds.', '',
    'send_message', case when again then %(now)s::timestamptz + interval '30 minutes' else found_at end, 'Golden Hour.',
    found_at, found_at::date, again::int, case when again then found_at end, 0, '', 0, '', found_at
from (
    select number, number %% (%(ghosts)s * 9 / 10) as customer, number %% 2 = 0 as again,
        %(now)s::timestamptz - case when number %% 2 = 0 then interval '4 days' else interval '1 minute' end as found_at
    from generate_series(0, %(ghosts)s - 1) number
) as drawn
"""
_MESSAGES = """
insert into messages (
    merchant_id, id, ghost_id, customer_id, step, channel, state, template, language, recipient, sender, subject,
    html, plain, idempotency_key, provider, provider_message_id, due_at, intent_at, sent_at, created_at)
select merchant_id, 'msg_' || id, id, customer_id, 1, 'email', 'sent', 'funds', 'de', customer_email, 'Northwind',
    'Your payment', repeat('word ', 40), repeat('word ', 40), 'phantom-msg_' || id, 'resend', 're_' || id,
    contacted_at, contacted_at, contacted_at, contacted_at
from ghost_targets where merchant_id = %(merchant)s and messages_sent = 1
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one pulse: seconds on the wall and of this process's own work, and what its memory grew by (MB, resident)."""

    seconds: float
    own_seconds: float
    megabytes: float


def run(ghosts: int = GHOSTS) -> list[Row]:
    """A tenth, then all."""
    with place() as here, clock.using(clock.ManualClock(NOW)):
        small = _pulse(here.logins.owner.url, ghosts // 10)
        large = _pulse(here.logins.owner.url, ghosts)
    per = f"pulse of {ghosts:,} ghosts"
    control = f"{ghosts // 10:,} ghosts"
    ratio = large.seconds / small.seconds

    def row(what: str, value: float, unit: str, against: float, goal: str) -> Row:
        return Row(f"{per}, {what}", value, unit, control, against, value / against if against else None, 1, 0.0, goal)

    return [
        Row(f"{per}, planned in", large.seconds, "s", control, small.seconds, ratio, 1, 0.0, "<= 10 s"),
        row("of these in this process", large.own_seconds, "s", small.own_seconds, "-"),
        row("memory grown by", large.megabytes, "MB", small.megabytes, "flat"),
    ]


def _pulse(owner_url: str, ghosts: int) -> Outcome:
    merchant = make_merchant(policy={"messages_per_customer_week": 4})  # room for who has two ghosts
    with psycopg.connect(owner_url, autocommit=True) as owner:
        for statement in (_GHOSTS, _MESSAGES):
            owner.execute(statement.encode(), {"merchant": merchant, "ghosts": ghosts, "now": NOW})
        owner.execute("vacuum analyze")
    with db.tenant_session(merchant) as session:
        for customer in range(0, ghosts * 9 // 10, SILENT):
            links.suppress(session, merchant, Channel.EMAIL, f"customer{customer}@example.com", "unsubscribed")
    boot.collect_seldom()  # as a worker does when it starts
    before = _resident()
    started, worked = time.monotonic(), time.process_time()
    done = pulse.run(_task(merchant))
    outcome = Outcome(time.monotonic() - started, time.process_time() - worked, _resident() - before)
    with db.tenant_session(merchant) as session:
        _audit(session, merchant, ghosts, done)
    again = pulse.run(_task(merchant))
    audit(expected=(0, 0, 0), found=(again["messages"], again["exhausted"], again["moved"]), what="a second pulse")
    return outcome


def _audit(session: Session, merchant: str, ghosts: int, done: dict[str, int]) -> None:
    """Every ghost whose customer may be written to has one task, and nobody else has any."""
    tasks = session.exec(
        select(func.count(), func.count(func.distinct(ScheduledTask.payload["ghost_id"].astext))).where(
            ScheduledTask.merchant_id == merchant, ScheduledTask.kind == "send_message"
        )
    ).one()
    silent = sum(1 for number in range(ghosts) if number % (ghosts * 9 // 10) % SILENT == 0)
    given_up = session.exec(
        select(func.count()).where(GhostTarget.merchant_id == merchant, GhostTarget.next_action == EXHAUST)
    ).one()
    audit(expected=(ghosts - silent, ghosts - silent), found=tuple(tasks), what="tasks, and ghosts that have one")
    audit(expected=ghosts - silent, found=done["messages"], what="messages by its own count")
    audit(expected=silent, found=given_up, what="ghosts of customers who asked for no more messages")


def _task(merchant: str) -> ClaimedTask:
    return ClaimedTask(1, "pulse", merchant, {}, 1, 5, 0, "", "bench", NOW)


def _resident() -> float:
    """Megabytes of memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def main(arguments: Sequence[str]) -> int:
    print(table(environment(), run(int(arguments[0]) if arguments else GHOSTS)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
