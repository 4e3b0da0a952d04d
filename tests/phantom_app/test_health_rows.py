"""The health card's rows: where each finding leads, and what stays hidden from whom."""

from datetime import UTC, datetime

import pytest

from phantom_app import routes
from phantom_app.state.health_card import FindingRow, finding_row, seen_row, summary
from services.operations.health_schemas import Finding, Place, Severity

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def finding(place: Place = Place.NOWHERE, title: str = "A thing") -> Finding:
    return Finding("x", Severity.PROBLEM, title, "It means.", "Do it.", place, ("in_1 said no",))


def row(place: Place, *, livemode: bool = True) -> FindingRow:
    return finding_row(finding(place), livemode=livemode, with_details=True)


@pytest.mark.parametrize("place", list(Place))
def test_every_place_has_a_link_but_the_one_that_is_nowhere(place: Place) -> None:
    shown = row(place)
    assert bool(shown.link) is bool(shown.link_text) is (place is not Place.NOWHERE)
    assert shown.outside is shown.link.startswith("https://")


def test_stripes_pages_are_those_of_the_accounts_mode() -> None:
    assert row(Place.STRIPE_WEBHOOKS).link == "https://dashboard.stripe.com/webhooks"
    assert row(Place.STRIPE_WEBHOOKS, livemode=False).link == "https://dashboard.stripe.com/test/webhooks"


def test_tabs_are_linked_to() -> None:
    assert row(Place.HUNTS).link == routes.system("hunts") == "/system?tab=hunts"


def test_who_may_not_read_settings_sees_no_ids_and_no_providers_words() -> None:
    assert row(Place.SETTINGS).details == ["in_1 said no"]
    assert finding_row(finding(), livemode=True, with_details=False).details == []


@pytest.mark.parametrize(
    ("titles", "said"),
    [
        (["A"], "A."),
        (["A", "B"], "A. B."),
        (["A", "B", "C"], "A. B. And 1 more."),
        (list("ABCDE"), "A. B. And 3 more."),
    ],
)
def test_the_dashboard_names_two_and_counts_the_rest(titles: list[str], said: str) -> None:
    assert summary([finding(title=title) for title in titles]) == said


def test_what_was_never_seen_says_never() -> None:
    assert seen_row("invoice.paid", None, NOW).when == "Never"
    assert seen_row("invoice.paid", NOW, NOW).when == "now"
    assert seen_row("odd.type", NOW, NOW).what == "odd.type"
