"""`phantom billing` as a person calls it: who is billed from when, in one line, and mistakes in one line too."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from cli.paths import ROOT
from core import db
from models.merchant import Merchant
from tests.support import environment
from tests.support.factories import make_merchant


def billing(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli", "billing", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)  # noqa: S603  # our own command


def kept(merchant: str) -> tuple[str | None, date | None]:
    with db.tenant_session(merchant) as session:
        found = session.get_one(Merchant, merchant)
        return found.usage_customer_id, found.usage_since


@pytest.mark.usefixtures("database", "clock")
class TestBilling:
    def test_a_merchant_is_billed_from_a_day_on_and_no_more(self) -> None:
        merchant = make_merchant()
        since = datetime.now(UTC).date() - timedelta(days=20)  # the command's own clock is the machine's
        with environment.changed(USAGE_METER="phantom_recovered"):
            done = billing("--merchant", merchant, "--customer", "cus_Northwind1", "--since", str(since))
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout == "Billed from now on: each day is reported once it is over.\n"
            assert kept(merchant) == ("cus_Northwind1", since)

            done = billing("--merchant", merchant, "--customer", "")
            assert (done.returncode, done.stdout) == (0, "Not billed any more.\n")
            assert kept(merchant) == (None, None)

    def test_without_meters_it_is_kept_and_said(self) -> None:
        merchant = make_merchant()
        done = billing("--merchant", merchant, "--customer", " cus_Northwind1 ")
        assert (done.returncode, done.stderr) == (0, "")
        assert "USAGE_METER" in done.stdout
        assert kept(merchant)[0] == "cus_Northwind1"

    @pytest.mark.parametrize(
        ("customer", "since", "said"),
        [("sub_1", "", "cus_"), ("cus_Northwind1", "30.11.2026", "2026-11-30"), ("cus_Northwind1", "2026-13-01", "")],
    )
    def test_what_cannot_be_is_one_line_and_changes_nothing(self, customer: str, since: str, said: str) -> None:
        merchant = make_merchant()
        done = billing("--merchant", merchant, "--customer", customer, "--since", since)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("phantom: ")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert kept(merchant) == (None, None)

    def test_an_unknown_merchant_is_one_line(self) -> None:
        done = billing("--merchant", "mer_nobody", "--customer", "cus_1")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "no such merchant" in done.stderr
