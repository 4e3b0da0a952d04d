"""A merchant's past, written in bulk: ghosts that ended, their messages and money, and the sums of each day.

Everything a row must have by the schema's own constraints; the sums are counted from the rows by PostgreSQL, not by
the product.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from unittest import mock

import psycopg

from benchmarks.harness import Place
from core import db

CURRENCY = "usd"
OPEN_DAYS = 30  # the ghosts that are open now were found in these last days

_GHOSTS = """
insert into ghost_targets (
    merchant_id, id, kind, state, found_via, invoice_id, subscription_id, customer_id, customer_email, customer_name,
    customer_language, customer_country, card_brand, card_funding, card_last4, country_code, requires_3ds,
    stripe_error_code, decline_code, advice_code, decline_group, api_shape, original_invoice_date, attempt_count,
    billing_reason, subscription_status, found_cents, amount_cents, currency, monthly_value_cents, strategy,
    strategy_reason, last_action, next_action, next_action_at, found_at, found_on, messages_sent, click_count,
    clicked_at, funnel_step, closed_at, close_reason, recovered_cents, mechanism,
    last_presence_at, updated_at)
select %(merchant)s, 'gh_' || past || '_' || number, 'failed', state, 'webhook', 'in_' || past || '_' || number,
    'sub_' || number %% 5000, 'cus_' || number %% 5000, 'customer' || number || '@example.com', 'Ada Example',
    'en', 'us', 'visa', 'credit', '4242', 'us', false,
    'card_declined', code, '', family, 'basil', found_at, 2,
    'subscription_cycle', 'past_due', amount, amount, %(currency)s, amount, 'smart_retry',
    'The bank says: not now.', 'message 2 sent', '', null, found_at, found_at::date, 2, number %% 3,
    case when number %% 3 > 0 then found_at + interval '1 day' end,
    case when number %% 3 = 0 then 1 when state = 'recovered' then 3 else 2 end,
    case when past then found_at + interval '2 days' end, case when state = 'lost' then 'lost' else '' end,
    case when state = 'recovered' then amount else 0 end, case when state = 'recovered'
        then (array['own_attempt', 'click', 'message', 'stripe_retry', 'organic'])[1 + number %% 5] else '' end,
    case when not past and number %% 3 > 0 then %(today)s::timestamptz - number %% 10 * interval '1 day' end, found_at
from (
    select number, %(past)s as past, 1000 + number * 37 %% 9000 as amount,
        %(today)s::timestamptz + interval '9 hours'
            - (number %% %(days)s + %(past)s::int) * interval '1 day' as found_at,
        case when not %(past)s then 'contacted' when number %% 10 < 7 then 'recovered' else 'lost' end as state,
        (array['insufficient_funds', 'expired_card', 'do_not_honor'])[1 + number %% 3] as code,
        (array['funds', 'expired', 'generic'])[1 + number %% 3] as family
    from generate_series(0, %(number)s - 1) number
) as drawn
"""
_MESSAGES = """
insert into messages (
    merchant_id, id, ghost_id, customer_id, step, channel, state, template, language, recipient, sender, subject,
    html, plain, idempotency_key, provider, provider_message_id, due_at, intent_at, sent_at, created_at)
select merchant_id, 'msg_' || id || step, id, customer_id, step, 'email', 'sent', 'funds_' || step, 'en',
    customer_email, 'Northwind', 'Your payment', repeat('word ', 40), repeat('word ', 40), 'phantom-msg_' || id || step,
    'resend', 're_' || id || step, at, at, at, at
from ghost_targets, generate_series(1, 2) step, lateral (select found_at + step * interval '1 hour' as at) as sent
where merchant_id = %(merchant)s
"""
_RECOVERIES = """
insert into recoveries (
    merchant_id, id, ghost_id, kind, source_id, amount_cents, currency, mechanism, found_at, occurred_at, recorded_at)
select merchant_id, 'rc_' || id, id, 'recovered', invoice_id, recovered_cents, currency, mechanism, found_at, closed_at,
    closed_at
from ghost_targets where merchant_id = %(merchant)s and state = 'recovered'
"""
# A tenth as many charges were made safe.
_PROTECTED = """
insert into recoveries (
    merchant_id, id, ghost_id, kind, source_id, amount_cents, currency, mechanism, found_at, occurred_at, recorded_at)
select merchant_id, 'rs_' || id, id, 'protected', 'upcoming:' || id, amount_cents, currency,
    (array['click', 'message', 'organic'])[1 + abs(hashtext(id)) %% 3], found_at, closed_at, closed_at
from ghost_targets where merchant_id = %(merchant)s and closed_at is not null and right(id, 1) = '0'
"""
_PRESENCE = """
insert into presence (merchant_id, customer_id, first_seen_at, last_seen_at)
select merchant_id, customer_id, min(last_presence_at), max(last_presence_at) from ghost_targets
where merchant_id = %(merchant)s and last_presence_at is not null group by 1, 2
"""
_HUNTS = """
insert into hunts (merchant_id, id, state, trigger, sweep, seconds, started_at, finished_at)
select %(merchant)s, 'hu_' || number, 'done', 'schedule', 'invoices', 1, at, at + interval '1 minute'
from generate_series(1, least(%(days)s, 180) * 2) number,
    lateral (select %(today)s::timestamptz - number * interval '12 hours' as at) as begun
"""
_DAYS = """
insert into daily_metrics (
    merchant_id, currency, day, shard, billed_count, billed_cents, found_count, found_cents, recovered_count,
    recovered_cents, lost_count, lost_cents, messages_count, cohort_messaged_count, cohort_clicked_count,
    cohort_clicked_recovered_count, cohort_recovered_count, cohort_recovered_cents)
select merchant_id, currency, day, hashtext(customer_id) & 15, 40 * count(*) filter (where found),
    coalesce(40 * sum(amount_cents) filter (where found), 0), count(*) filter (where found),
    coalesce(sum(amount_cents) filter (where found), 0), count(*) filter (where not found and state = 'recovered'),
    coalesce(sum(recovered_cents) filter (where not found), 0), count(*) filter (where not found and state = 'lost'),
    coalesce(sum(amount_cents) filter (where not found and state = 'lost'), 0), 2 * count(*) filter (where found),
    count(*) filter (where found), count(*) filter (where found and click_count > 0),
    count(*) filter (where found and click_count > 0 and state = 'recovered'),
    count(*) filter (where found and state = 'recovered'), coalesce(sum(recovered_cents) filter (where found), 0)
from (
    select *, found_on as day, true as found from ghost_targets
    union all
    select *, closed_at::date, false from ghost_targets where closed_at is not null
) as happened
where merchant_id = %(merchant)s group by 1, 2, 3, 4
"""
_SAFE_DAYS = """
insert into daily_metrics (merchant_id, currency, day, shard, protected_count, protected_cents)
select merchant_id, currency, occurred_at::date, hashtext(ghost_id) & 15, count(*), sum(amount_cents)
from recoveries where merchant_id = %(merchant)s and kind = 'protected' group by 1, 2, 3, 4
on conflict (merchant_id, currency, day, shard) do update
set protected_count = excluded.protected_count, protected_cents = excluded.protected_cents
"""
_MERITS = """
insert into daily_merits (merchant_id, currency, kind, day, mechanism, shard, amount_cents, times)
select merchant_id, currency, kind, occurred_at::date, mechanism, hashtext(ghost_id) & 15, sum(amount_cents), count(*)
from recoveries where merchant_id = %(merchant)s group by 1, 2, 3, 4, 5, 6
"""
_TOTALS = """
insert into merchant_totals (
    merchant_id, currency, shard, leakage_cents, shadow_leakage_cents, recovered_cents, open_ghosts, updated_at)
select merchant_id, currency, hashtext(customer_id) & 15, sum(amount_cents) filter (where state <> 'recovered'),
    0, sum(recovered_cents), count(*) filter (where state = 'contacted'), now()
from ghost_targets where merchant_id = %(merchant)s group by 1, 2, 3
"""
_GROUPS = """
insert into open_leakage (merchant_id, currency, decline_group, shard, amount_cents, ghosts)
select merchant_id, currency, decline_group, hashtext(customer_id) & 15, sum(amount_cents), count(*)
from ghost_targets where merchant_id = %(merchant)s and state = 'contacted' group by 1, 2, 3, 4
"""
_ALL = (_MESSAGES, _RECOVERIES, _PROTECTED, _PRESENCE, _HUNTS, _DAYS, _SAFE_DAYS, _MERITS, _TOTALS, _GROUPS)


@dataclass(frozen=True, slots=True)
class Past:
    """How long a merchant has been with us, and how busy it is."""

    days: int
    ended_a_day: int
    open_now: int


@dataclass(frozen=True, slots=True)
class House:
    """One database of a bench and a merchant in it."""

    owner_url: str
    application_url: str
    merchant: str

    @contextmanager
    def lived_in(self) -> Iterator[None]:
        """The product's own sessions are this database's meanwhile, as if it had been started here."""
        engine = db.make_application_engine(self.application_url)
        try:
            with mock.patch.object(db, "application_engine", return_value=engine):
                yield
        finally:
            engine.dispose()


def house(here: Place, merchant: str, name: str = "phantom") -> House:
    """The run's own database, or that copy of it."""
    owner, application = (
        f"{login.url.rpartition('/')[0]}/{name}" for login in (here.logins.owner, here.logins.application)
    )
    return House(owner, application.replace("postgresql://", "postgresql+psycopg://", 1), merchant)


def copied(here: Place, name: str) -> None:
    """Copy the run's database, as it is now, under another name."""
    db.dispose()  # a database somebody is connected to cannot be copied
    with psycopg.connect(here.postgres.url("postgres"), autocommit=True) as maintenance:
        maintenance.execute(f"create database {name} template phantom".encode())


def live(here: House, past: Past, today: date) -> None:
    """Write the merchant's past up to `today` (UTC), and let the database settle as autovacuum would."""
    facts = {"merchant": here.merchant, "today": today, "currency": CURRENCY, "days": past.days}
    with psycopg.connect(here.owner_url, autocommit=True) as owner:
        owner.execute(_GHOSTS, {**facts, "past": True, "number": past.days * past.ended_a_day})
        owner.execute(_GHOSTS, {**facts, "past": False, "number": past.open_now, "days": OPEN_DAYS})
        for statement in _ALL:
            owner.execute(statement, facts)
        owner.execute("vacuum analyze")
