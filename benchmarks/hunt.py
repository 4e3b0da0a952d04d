"""A large account hunted over real HTTP by the command a person would type, against Stripe's sandbox limit.

Asks: does it cost a request a hundred objects, does memory stay flat, is the rate limit used? The control is the same
hunt of a tenth of the ghosts, once before and once after. `python -m benchmarks.hunt 2000` plays it small.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import func, select

from benchmarks.harness import Place, Row, audit, place
from core import config, db
from models.ghost import GhostTarget
from models.merchant import MerchantTotals
from tests.sandbox.process import ROOT, SandboxProcess
from tests.support.factories import make_merchant

GHOSTS = 100_000
LIMIT = 25  # requests a second: Stripe's sandbox allows an account so many
OBJECTS = 3  # of each ghost a payment, a subscription and an invoice are listed
AMOUNT = 4900
SEEDED_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one hunt did and took; `megabytes` is the most its process ever held (resident)."""

    listed: int
    found: int
    requests: int
    seconds: float
    megabytes: float


def run(ghosts: int = GHOSTS) -> list[Row]:
    """Small, large, small again; each account is hunted once, for what a first hunt finds is what costs: one round."""
    options = ("--platform-secret-key", "sk_test_bench", "--rate-limit", str(LIMIT), "--pull")
    with place() as here, SandboxProcess(options=options) as sandbox:
        os.environ.update(STRIPE_API_BASE=sandbox.base, STRIPE_CONNECT_BASE=sandbox.base)
        config.settings.cache_clear()
        before, large, after = (_hunt(here, sandbox, size) for size in (ghosts // 10, ghosts, ghosts // 10))
    return _rows(ghosts, large, [before, after])


def _hunt(here: Place, sandbox: SandboxProcess, ghosts: int) -> Outcome:
    merchant = _merchant_with(sandbox, ghosts)
    sandbox.control("requests?reset=1")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cli", "--folder", folder, "hunt", "--merchant", merchant, "--json"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own command
        assert process.stdout is not None  # noqa: S101  # asked for above
        with process.stdout:
            told = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    audit(expected=0, found=process.returncode, what="the hunt's exit code")
    figures = json.loads(told)
    sys.stderr.write(
        f"{ghosts:,} ghosts: {figures} in {time.monotonic() - begun:.1f} s with start-up,"
        f" {used.ru_utime + used.ru_stime:.1f} s of processor\n"
    )
    _audit(sandbox, merchant, ghosts, figures)
    return Outcome(
        figures["listed"], figures["found"], figures["requests"], figures["seconds"], used.ru_maxrss * 1024 / 1e6
    )


def _merchant_with(sandbox: SandboxProcess, ghosts: int) -> str:
    """A connected merchant whose account has so many failed invoices."""
    account = sandbox.act("create_account", name="Northwind", email="owner@example.com")["id"]
    sandbox.act("connect", account=account)
    for start in range(0, ghosts, SEEDED_AT_ONCE):
        size = min(SEEDED_AT_ONCE, ghosts - start)
        sandbox.control("seed", {"account": account, "customers": size, "amount": AMOUNT, "seed": f"bench {start}"})
    return make_merchant(stripe_user_id=account, paused=True)


def _audit(sandbox: SandboxProcess, merchant: str, ghosts: int, figures: dict[str, float]) -> None:
    """What the hunt says, what Stripe saw and what the database holds are the same."""
    audit(expected=(OBJECTS * ghosts, ghosts), found=(figures["listed"], figures["found"]), what="listed and found")
    audit(expected=0, found=figures["unreadable"], what="unreadable invoices")
    audit(expected=sandbox.control("requests")["total"], found=figures["requests"], what="requests")
    with db.tenant_session(merchant) as session:
        invoices = session.exec(select(func.count(func.distinct(GhostTarget.invoice_id)))).one()
        leakage = session.exec(select(func.sum(MerchantTotals.leakage_cents))).one()
    audit(
        expected=(ghosts, ghosts * AMOUNT),
        found=(invoices, int(leakage or 0)),
        what="ghosts and leakage in the database",
    )


def _rows(ghosts: int, large: Outcome, small: Sequence[Outcome]) -> list[Row]:
    name, pages = f"hunt of {ghosts:,} ghosts", large.listed / 100
    memory = sum(each.megabytes for each in small) / len(small)
    rate = large.requests / large.seconds
    goal = f"at most 1.05x + 10 = {1.05 * pages + 10:,.0f} requests"
    tenth = f"hunts of {ghosts // 10:,} ghosts before and after"
    return [
        Row(name, large.requests, "requests", "objects listed / 100", pages, large.requests / pages, 1, 0.0, goal),
        Row(f"{name}: peak memory", large.megabytes, "MB", tenth, memory, large.megabytes / memory, 1, 0.0, "flat"),
        Row(
            f"{name}: rate limit used",
            rate,
            "/s",
            "Stripe's sandbox limit",
            LIMIT,
            rate / LIMIT,
            1,
            0.0,
            "at least 0.8x",
        ),
        Row(f"{name}: time", large.seconds, "s", None, None, None, 1, 0.0, "the rate limit's own"),
    ]


if __name__ == "__main__":
    for row in run(int(sys.argv[1]) if len(sys.argv) > 1 else GHOSTS):
        sys.stdout.write(json.dumps(row.as_dict()) + "\n")
