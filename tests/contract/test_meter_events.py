"""What the operator's meters are told, as it stands on the wire, against the shapes that Stripe's own SDK declares."""

import sys
import typing
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import stripe
from stripe import RequestOptions
from stripe.params.billing import MeterEventCreateParams, MeterEventSummaryListParams

from core import clock
from core.clock import ManualClock
from sandbox.stripe import forms
from sandbox.stripe.inprocess import InProcessClient
from services.integrations.stripe import client as stripe_client
from services.integrations.stripe import meters
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.meters import MeterEvent
from services.vault.secret import Secret
from tests.contract.annotations import check, conforms
from tests.sandbox.conftest import Play

MINUTE = timedelta(minutes=1)
CUSTOMER, VALUE = "stripe_customer_id", "value"


class Wire(InProcessClient):
    """Keeps what went over it: the form of a POST, the query of a GET, and their headers."""

    def __init__(self, play: Play) -> None:
        super().__init__(play.api)
        self.seen: list[tuple[str, dict[str, Any], Mapping[str, str]]] = []

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **given: Any) -> Any:
        path, _, query = url.partition("?")
        sent = post_data.decode() if isinstance(post_data, bytes) else post_data or query
        self.seen.append((path.partition("/v1/")[2], forms.parse(sent), headers or {}))
        return super().request(method, url, headers, post_data, **given)


@pytest.fixture
def wire(play: Play, monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire(play)
    monkeypatch.setattr(stripe_client, "shared_client", lambda _patience: wire)
    return wire


@pytest.fixture
def operator(play: Play, wire: Wire) -> ScopedStripe:
    """The platform's own account, with a meter as Stripe makes one by default."""
    key = Secret(f"sk_test_{play.account.removeprefix('acct_')}")
    made = {"display_name": "Back", "event_name": "back_usd", "default_aggregation": {"formula": "sum"}}
    stripe = ScopedStripe(key, None, header=False)
    stripe.raw_post("/v1/billing/meters", made, idempotency_key="meter")
    wire.seen.clear()
    return stripe


def event(play: Play, **changed: Any) -> MeterEvent:
    customer = play.customer()["id"]
    stamped = clock.now().replace(second=0) - timedelta(days=1)
    told = {
        "event_name": "back_usd",
        "identifier": "phantom:mer_1:usd:2026-01-14",
        "value": 4900,
        "stamped_at": stamped,
    }
    return MeterEvent(**{**told, "customer_id": customer, **changed})


def declared_hints(declared: Any) -> dict[str, Any]:
    """The parameters of a request, without the options that every call may have."""
    own = {name: hint for name, hint in declared.__annotations__.items() if name not in RequestOptions.__annotations__}
    return typing.get_type_hints(type("Own", (), {"__annotations__": own}), vars(sys.modules[declared.__module__]))


def complaints(sent: dict[str, Any], declared: Any) -> list[str]:
    """What of a request its declaration does not know, misses, or types otherwise. Forms carry numbers as digits."""
    hints = declared_hints(declared)
    found = [f"{name}: unknown to {declared.__name__}" for name in sent if name not in hints]
    found += [f"{name}: missing" for name in sorted(declared.__required_keys__ - sent.keys())]
    for name in sorted(sent.keys() & hints.keys()):
        value = int(sent[name]) if hints[name] is int and str(sent[name]).isdecimal() else sent[name]
        found += conforms(value, hints[name], name)
    return found


class TestWhatIsSent:
    def test_the_event_has_the_declared_parameters_and_nothing_else(
        self, play: Play, wire: Wire, operator: ScopedStripe, manual_clock: ManualClock
    ) -> None:
        told = event(play)
        assert meters.send(operator, told)
        [(path, sent, headers)] = wire.seen
        assert path == "billing/meter_events"
        assert complaints(sent, MeterEventCreateParams) == []
        assert sent["event_name"] == "back_usd"
        assert sent["identifier"] == told.identifier == headers["Idempotency-Key"]
        assert int(sent["timestamp"]) == int(told.stamped_at.timestamp())
        assert "Stripe-Account" not in headers  # the platform's own meter

    def test_the_payload_has_the_keys_the_meter_reads_and_texts_alone(
        self, play: Play, wire: Wire, operator: ScopedStripe
    ) -> None:
        told = event(play)
        meters.send(operator, told)
        [meter] = play.client().v1.billing.meters.list().data
        [(_, sent, _)] = wire.seen[:1]
        keys = {meter.customer_mapping.event_payload_key, meter.value_settings.event_payload_key}
        assert sent["payload"].keys() == keys == {CUSTOMER, VALUE}
        assert sent["payload"] == {CUSTOMER: told.customer_id, VALUE: "4900"}  # no point, no exponent, no sign

    @pytest.mark.parametrize("changed", ["payload", "event_name"])
    def test_the_check_itself_sees_what_is_missing(self, changed: str) -> None:
        whole = {"event_name": "a", "payload": {CUSTOMER: "cus_1"}, "timestamp": "17"}
        assert complaints(whole, MeterEventCreateParams) == []
        assert complaints({**whole, "value": "1"}, MeterEventCreateParams) == [
            "value: unknown to MeterEventCreateParams"
        ]
        assert complaints({**whole, "timestamp": "soon"}, MeterEventCreateParams) != []
        del whole[changed]
        assert complaints(whole, MeterEventCreateParams) == [f"{changed}: missing"]


class TestWhatComesBack:
    def test_the_event_as_the_meter_keeps_it(self, play: Play, wire: Wire, operator: ScopedStripe) -> None:
        told = event(play)
        meters.send(operator, told)
        [kept] = play.space.table("billing.meter_event").objects.values()
        shown = {name: value for name, value in kept.items() if name != "id"}  # ours, Stripe's has none
        assert check(shown, stripe.billing.MeterEvent, "MeterEvent") == []
        assert (shown["identifier"], shown["payload"][VALUE]) == (told.identifier, "4900")

    def test_the_same_event_again_is_no_second_one(self, play: Play, operator: ScopedStripe) -> None:
        told = event(play)
        assert meters.send(operator, told)
        assert meters.send(operator, told)  # a crash before we knew: the same answer
        assert len(play.space.table("billing.meter_event").objects) == 1

    def test_the_sum_is_asked_for_in_whole_minutes_and_read_as_declared(
        self, play: Play, wire: Wire, operator: ScopedStripe
    ) -> None:
        told = event(play)
        meters.send(operator, told)
        wire.seen.clear()
        assert meters.has(operator, told)
        path, sent, _ = wire.seen[-1]
        assert path.endswith("/event_summaries")
        assert complaints(sent, MeterEventSummaryListParams) == []
        assert (int(sent["start_time"]) % 60, int(sent["end_time"]) - int(sent["start_time"])) == (0, 60)
        rows = operator.raw_get(f"/v1/{path}", {name: sent[name] for name in ("customer", "start_time", "end_time")})
        assert [text for row in rows["data"] for text in check(row, stripe.billing.MeterEventSummary, "Summary")] == []
        assert not meters.has(operator, event(play, stamped_at=told.stamped_at - MINUTE))
