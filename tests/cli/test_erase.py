"""`phantom erase`: one customer is forgotten, and a stranger's id is a clear line."""

import os
import subprocess
import sys

from sqlmodel import select

from cli.paths import ROOT
from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostTarget
from models.privacy import Tombstone
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice


def erase(merchant: str, customer: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli", "erase", "--merchant", merchant, "--customer", customer]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)  # noqa: S603  # our own command


def test_a_customer_is_forgotten(database: object, clock: ManualClock) -> None:
    merchant = make_merchant()
    with db.tenant_session(merchant) as session:
        facts = parse_invoice(raw_invoice())
        observe(session, merchant_context(session, merchant), [facts], FoundVia.HUNT, clock.now())

    done = erase(merchant, "cus_1")

    assert (done.returncode, done.stderr) == (0, "")
    assert "1 ghost of this customer" in done.stdout
    with db.tenant_session(merchant) as session:
        (ghost,) = session.exec(select(GhostTarget)).all()
    assert (ghost.customer_email, ghost.customer_name) == (None, None)


def test_one_who_has_no_ghost_is_told_so_and_kept_away(database: object, clock: ManualClock) -> None:
    done = erase(make_merchant(), "cus_Q1w2E3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No ghost of this customer is known" in done.stdout
    assert "kept away" in done.stdout


def test_what_is_no_customers_id_is_refused_and_not_kept(database: object, clock: ManualClock) -> None:
    merchant = make_merchant()
    done = erase(merchant, "sub_1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cus_" in done.stderr
    assert "Traceback" not in done.stderr
    with db.tenant_session(merchant) as session:
        assert session.exec(select(Tombstone)).all() == []


def test_an_unknown_merchant_is_one_line(database: object) -> None:
    done = erase("mer_nobody", "cus_1")
    assert done.returncode == 1
    assert done.stderr.startswith("phantom: ")
    assert "Traceback" not in done.stderr
