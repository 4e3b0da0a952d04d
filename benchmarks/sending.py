"""Sending at a provider's rate: on time below it, as fast as it allows above, and fair to those who share it?

`python -m benchmarks.sending [MESSAGES [FEW]]`; beside `phantom bench`, whose names are fixed. Real workers and a real
Sentinel send to the sandbox's Resend over HTTP, which takes ten a second with one key and refuses what is more. First
messages fall due at random moments, at four fifths of that rate. Then as many fall due at once behind the platform's
key, and meanwhile two other merchants have a few (FEW) each: one behind the same key, one with a key of its own.
Late counts from when a message was due to when the provider took it, by the provider's own books.
"""

import contextlib
import os
import random
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from benchmarks.__main__ import table
from benchmarks.harness import BenchError, Place, Row, Samples, alone, audit, percentile, place
from benchmarks.machine import environment
from benchmarks.processes import running
from core import clock, config, db
from jobs import hunt, pulse
from services.hunter.schemas import HuntRequest
from services.messaging.senders import service as senders
from services.messaging.senders.given import OwnMail
from services.tasks import upkeep
from services.tasks.schedules import SCHEDULES
from services.tasks.schemas import ClaimedTask
from tests.sandbox.process import SandboxProcess
from tests.support.factories import make_merchant

MESSAGES, RATE, SHARE = 400, 10.0, 0.8
FEW, EVERY = 16, 2.0  # messages of the others, and seconds between theirs
WORKERS = 2
HEAD_START = timedelta(seconds=4)  # for planning them
OWN_KEY = OwnMail.read("re_bench_own_0123456789", "billing@acme.example")
_PATIENCE_SECONDS = 120.0
_FOUND = """
update ghost_targets set found_at = moment, found_on = moment::date, original_invoice_date = moment
from (select id, row_number() over () as number from ghost_targets where merchant_id = %(merchant)s) as counted
    join unnest(%(moments)s::timestamptz[]) with ordinality as wanted (moment, number) using (number)
where ghost_targets.merchant_id = %(merchant)s and ghost_targets.id = counted.id
"""
_DUE = """
select customer_email, run_at from scheduled_tasks task
join ghost_targets ghost on ghost.merchant_id = task.merchant_id and ghost.id = payload ->> 'ghost_id'
where task.kind = 'send_message' and task.merchant_id = %s
"""
_SETTLED = """
select count(*) filter (where state = 'sent'), count(*) filter (where state <> 'sent'),
    (select count(*) from scheduled_tasks where kind = 'send_message' and state = 'dead')
from messages
"""

Owner = psycopg.Connection[tuple[Any, ...]]
Name = tuple[str, str]  # a merchant, and whom it writes to


@dataclass
class Merchant:
    """One with an account at the sandbox and unpaid invoices, each of a customer of its own."""

    sandbox: SandboxProcess
    customers: int
    name: str
    id: str = field(init=False)

    def __post_init__(self) -> None:
        account = self.sandbox.act("create_account", name=self.name, email="owner@example.com")["id"]
        self.sandbox.act("connect", account=account)
        wanted = {"customers": self.customers, "decline_codes": ["insufficient_funds"], "seed": self.name}
        self.sandbox.control("seed", {"account": account, **wanted})
        self.id = make_merchant(stripe_user_id=account, paused=True, name=self.name)
        figures = hunt.as_figures(hunt.hunt(self.id, HuntRequest(trigger="command")))
        audit(expected=self.customers, found=figures["found"], what=f"ghosts of {self.name}")

    def schedule(self, owner: Owner, moments: Sequence[datetime]) -> dict[Name, datetime]:
        """Messages are on from now, and each ghost is found at its moment: when each is due, by whom it goes to.

        The merchant's pulse plans them, as it does when somebody says go.
        """
        owner.execute(_FOUND, {"merchant": self.id, "moments": list(moments)})
        owner.execute("update merchants set policy = policy || '{\"paused\": false}' where id = %s", (self.id,))
        pulse.run(ClaimedTask(1, "pulse", self.id, {"replan": True}, 1, 5, 0, "", "bench", clock.now()))
        due = {(self.id, str(email)): at for email, at in owner.execute(_DUE, (self.id,)).fetchall()}
        audit(expected=sorted(moments), found=sorted(due.values()), what=f"tasks of {self.name}, each at its moment")
        return due


@dataclass(frozen=True, slots=True)
class Sent:
    """What the provider took in one pass: how late each message was, and when it came (Unix seconds)."""

    late: dict[Name, float]
    when: dict[Name, float]
    refused: int

    def of(self, merchant: Merchant) -> list[float]:
        return [seconds for (whose, _), seconds in self.late.items() if whose == merchant.id]

    def rate(self, crowd: Merchant, begins: datetime, behind_the_same_key: Sequence[Merchant]) -> float:
        """Messages a second that went with the key, until the last of the crowd's."""
        ends = max(at for (whose, _), at in self.when.items() if whose == crowd.id)
        sharing = {merchant.id for merchant in behind_the_same_key}
        went = sum(at <= ends for (whose, _), at in self.when.items() if whose in sharing)
        return went / (ends - begins.timestamp())


def run(messages: int = MESSAGES, few: int = FEW) -> list[Row]:
    """Rows of both passes, each measured once."""
    options = ("--platform-secret-key", "sk_test_bench", "--pull")
    with place() as at, SandboxProcess(options=options) as sandbox, contextlib.ExitStack() as stack:
        _point_at(sandbox)
        first, steady = Merchant(sandbox, few, "First"), Merchant(sandbox, messages, "Steady")
        crowd, same, own = (Merchant(sandbox, size, name) for size, name in
                            ((messages, "Crowd"), (few, "Same key"), (few, "Own key")))  # fmt: skip
        with db.tenant_session(own.id) as session:
            senders.set_mail(session, own.id, OWN_KEY, "usr_bench")
        owner = stack.enter_context(psycopg.connect(at.logins.owner.url, autocommit=True))
        _begin(owner)
        for number in range(WORKERS):
            stack.enter_context(running("jobs.worker", log=at.folder / f"worker-{number}.log"))
        stack.enter_context(running("jobs.sentinel", log=at.folder / "sentinel.log"))
        _sent(at, sandbox, first.schedule(owner, [clock.now() + HEAD_START] * few))  # imports, connections, plans
        below = _sent(at, sandbox, steady.schedule(owner, _at_random(messages, SHARE * RATE)))
        begins = clock.now() + HEAD_START
        theirs = [begins + timedelta(seconds=EVERY * (number + 0.5)) for number in range(few)]
        due = {
            **same.schedule(owner, theirs),
            **own.schedule(owner, theirs),
            **crowd.schedule(owner, [begins] * messages),
        }
        above = _sent(at, sandbox, due)
    rate = above.rate(crowd, begins, (crowd, same))
    return _rows(messages, below, above, rate, (same, own))


def _point_at(sandbox: SandboxProcess) -> None:
    os.environ.update(
        STRIPE_API_BASE=sandbox.base, STRIPE_CONNECT_BASE=sandbox.base, RESEND_API_BASE=sandbox.base,
        RESEND_API_KEY="re_bench_platform_01", RESEND_RATE=str(RATE),
    )  # fmt: skip
    config.settings.cache_clear()
    sandbox.control("outbox/limits", {"rate": RATE})


def _begin(owner: Owner) -> None:
    """Nothing waits but what the bench makes: the hunts and pulses of this hour are done."""
    with db.system_session() as session:
        upkeep.schedule_present(session, SCHEDULES, clock.now())
    owner.execute("update scheduled_tasks set state = 'done', finished_at = now() where state = 'pending'")
    owner.execute("vacuum analyze")


def _at_random(count: int, rate: float) -> list[datetime]:
    """As many moments, independent of each other, at this rate in all."""
    chance, begins = random.Random(1), clock.now() + HEAD_START
    return sorted(begins + timedelta(seconds=chance.uniform(0, count / rate)) for _ in range(count))


def _sent(at: Place, sandbox: SandboxProcess, due: dict[Name, datetime]) -> Sent:
    """Wait until the provider has as many messages, then compare its books with what was due."""
    request = urllib.request.Request(f"{sandbox.base}/_sandbox/outbox", method="DELETE")  # noqa: S310  # our own server
    urllib.request.urlopen(request, timeout=60).close()  # noqa: S310
    refused = sandbox.control("outbox/limits")["refused"]
    last, deadline = max(due.values()), time.monotonic() + _PATIENCE_SECONDS
    while sandbox.control("outbox?limit=1")["count"] < len(due):
        if time.monotonic() > deadline:
            raise BenchError(f"of {len(due)} messages not all came within {_PATIENCE_SECONDS:g} s: {_seen(at)}")
        time.sleep(0.5)
    time.sleep(max(1.0, (last - clock.now()).total_seconds() + 1.0))  # for a second one that must not come
    taken = sandbox.control("outbox?limit=1000")["data"]
    times = Counter((message["tags"]["phantom_merchant"], message["to"][0]) for message in taken)
    audit(expected=dict.fromkeys(due, 1), found=dict(times), what="messages the provider took, each once")
    when = {(each["tags"]["phantom_merchant"], each["to"][0]): float(each["created"]) for each in taken}
    late = {name: when[name] - moment.timestamp() for name, moment in due.items()}
    audit(expected=True, found=min(late.values()) >= 0, what="no message before it was due")
    audit(expected=(0, 0), found=_seen(at)[1:], what="messages that are not sent, tasks given up")
    return Sent(late, when, sandbox.control("outbox/limits")["refused"] - refused)


def _seen(at: Place) -> tuple[int, ...]:
    """Of all messages so far: sent, in any other state; and dead tasks."""
    with psycopg.connect(at.logins.owner.url, autocommit=True) as owner:
        row = owner.execute(_SETTLED).fetchone() or ()
    return tuple(int(str(value)) for value in row)


def _rows(messages: int, below: Sent, above: Sent, rate: float, others: tuple[Merchant, Merchant]) -> list[Row]:
    same, own = others
    late = list(below.late.values())
    name = f"{messages:,} messages due at once"

    def once(measure: str, value: float, unit: str, goal: str) -> Row:
        return alone(measure, Samples((value,)), unit, goal)

    part = f"{SHARE:.0%} of the provider's limit"
    return [
        once(f"{part}, late, p99", percentile(late, 0.99), "s", "<= 2 s"),
        once(f"{part}, late, p50", percentile(late, 0.5), "s", "-"),
        once(f"{part}, refused (429)", below.refused, "times", "none"),
        Row(name, rate, "/s", "the provider's limit", RATE, rate / RATE, 1, 0.0, ">= 0.9x"),
        once(f"{name}, refused (429)", above.refused, "times", "no storm"),
        once(f"{name}: others behind the same key, late, p99", percentile(above.of(same), 0.99), "s", "<= 2 s"),
        once(f"{name}: others with their own key, late, p99", percentile(above.of(own), 0.99), "s", "<= 2 s"),
    ]


def main(arguments: Sequence[str]) -> int:
    print(table(environment(), run(*map(int, arguments))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
