"""What logs tell of a call to Stripe: under whose correlation id it was made, and never with what parameters."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from core import logging as core_logging
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeCallError
from services.integrations.stripe.transport import Patience
from services.vault.secret import Secret
from tests.phantom_app.api.fake_stripe import FakeStripe

OURS = "services.integrations.stripe"
INVOICES = "/v1/invoices"


@pytest.fixture
def scoped(fake: FakeStripe) -> ScopedStripe:
    patience = Patience(network_retries=0, busy_retries=1)
    return ScopedStripe(Secret("sk_test_x"), "acct_1", header=True, patience=patience, sleep=lambda _seconds: None)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is written, as it is written; at the level of `core.logging.configure`, unless a test asks for more."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(core_logging.JsonFormatter())
    logger = logging.getLogger(OURS)
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield written
    logger.setLevel(before)
    logger.removeHandler(handler)


def lines(logged: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged.getvalue().splitlines()]


def test_a_call_that_failed_has_the_id_of_who_made_it(scoped: ScopedStripe, logged: io.StringIO) -> None:
    with core_logging.correlated("cor_of_the_task"), pytest.raises(StripeCallError):
        scoped.raw_get(INVOICES)
    [line] = lines(logged)
    assert (line["event"], line["correlation_id"]) == ("stripe.call_failed", "cor_of_the_task")
    assert (line["facts"]["status"], line["facts"]["request"]) == (404, "req_fake")


class TestCallThatWentWell:
    def test_is_a_line_for_who_asks_for_it(self, scoped: ScopedStripe, fake: FakeStripe, logged: io.StringIO) -> None:
        """With the id under which Stripe's own log has it; a repeat is a request of its own there too."""
        logging.getLogger(OURS).setLevel(logging.DEBUG)
        fake.answers[INVOICES] = [(429, {"error": {"type": "rate_limit_error"}}), (200, {"data": []})]
        with core_logging.correlated("cor_of_the_task"):
            scoped.raw_get(INVOICES, {"customer": "cus_1"})
        told = [line for line in lines(logged) if line["event"] == "stripe.called"]
        assert [(line["level"], line["correlation_id"]) for line in told] == [("debug", "cor_of_the_task")] * 2
        facts = {"method": "get", "path": INVOICES, "request": "req_fake"}
        assert [line["facts"] for line in told] == [{**facts, "status": 429}, {**facts, "status": 200}]
        assert "cus_1" not in logged.getvalue()

    def test_is_none_for_everybody_else(self, scoped: ScopedStripe, fake: FakeStripe, logged: io.StringIO) -> None:
        fake.answers[INVOICES] = [(200, {"data": []})]
        scoped.raw_get(INVOICES)
        assert logged.getvalue() == ""
