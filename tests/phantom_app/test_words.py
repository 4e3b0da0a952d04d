"""Text of the screens: every code has its words, figures say what they are."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import pytest

from models.ghost import GhostState, Mechanism, Strategy
from models.messaging import MessageState
from models.work import HuntState, TaskState
from phantom_app.state import charts, formats, words
from phantom_app.state.access import identifier, words_of
from phantom_app.state.dashboard import figures_of, made_safe_views, merit_views, steps_of
from phantom_app.state.sign_in import local
from services.analytics.schemas import Dashboard, DayPoint, Figure, Funnel, Hero, MadeSafe, Merit
from services.recovery.strategy import DeclineGroup

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class TestWords:
    @pytest.mark.parametrize(
        ("table", "codes"),
        [
            (words.STATES, GhostState),
            (words.STRATEGIES, Strategy),
            (words.MECHANISMS, Mechanism),
            (words.MESSAGE_STATES, MessageState),
            (words.TASK_STATES, TaskState),
            (words.HUNT_STATES, HuntState),
            (words.GROUPS, DeclineGroup),
        ],
    )
    def test_every_code_has_words(self, table: dict[str, object], codes: type[StrEnum]) -> None:
        assert set(table) == {code.value for code in codes}

    def test_a_charge_that_never_came_or_simply_went_through_was_no_loss(self) -> None:
        assert words.state_of("impending", "lost") == ("Over", "neutral")
        assert words.state_of("failed", "lost") == ("Lost", "neutral")
        assert words.state_of("impending", "protected") == ("Protected", "protected")

    def test_a_new_code_is_shown_as_it_is(self) -> None:
        assert words.of(words.STATES, "brand_new") == ("Brand new", "neutral")


class TestFormats:
    @pytest.mark.parametrize(
        ("value", "previous", "text"),
        [
            (150, 100, "▲ 50.0%"),
            (50, 100, "▼ 50.0%"),
            (100, 100, "no change"),
            (0, 0, "no change"),
            (5, 0, "from zero"),
            (5, None, "no earlier period"),
            (1_500, 100, "▲ 1,400%"),
        ],
    )
    def test_change(self, value: int, previous: int | None, text: str) -> None:
        assert formats.change(value, previous) == text

    @pytest.mark.parametrize(
        ("gap", "text"),
        [
            (timedelta(seconds=20), "now"),
            (timedelta(minutes=-5), "5 min ago"),
            (timedelta(hours=3), "in 3 h"),
            (timedelta(days=-2), "2 d ago"),
        ],
    )
    def test_distance(self, gap: timedelta, text: str) -> None:
        assert formats.distance(NOW + gap, NOW) == text

    def test_zero_and_three_decimal_currencies(self) -> None:
        assert formats.money(1200, "jpy") == "¥1,200"
        assert formats.money(3250, "kwd").endswith("3.250")

    def test_a_sliver_is_visible_and_nothing_is_not(self) -> None:
        assert formats.width(1, 10_000) == "1.00%"
        assert formats.width(0, 10_000) == "0%"
        assert formats.width(0, 0) == "0%"


class TestTrend:
    def test_heights_stand_under_a_round_axis(self) -> None:
        days = [DayPoint(date(2026, 3, day), found=day * 100, recovered=50, protected=50) for day in range(1, 31)]
        columns, axis = charts.trend(days, "usd")
        assert axis == ["$50.00", "$25.00", "$0.00"]
        assert columns[29].found_height == "60.00%"
        assert columns[29].guarded == "$1.00"
        assert (columns[0].label, columns[29].label) == ("1 Mar", "30 Mar")
        assert sum(bool(column.label) for column in columns) <= 8

    def test_a_day_that_lost_more_than_it_won_has_no_bar_and_says_so(self) -> None:
        [column], _ = charts.trend([DayPoint(date(2026, 3, 1), 100, -50, 0)], "usd")
        assert (column.guarded, column.guarded_height) == ("-$0.50", "0%")

    def test_no_days_and_no_money(self) -> None:
        assert charts.trend([], "usd")[0] == []
        [column], _ = charts.trend([DayPoint(date(2026, 3, 1), 0, 0, 0)], "usd")
        assert column.found_height == "0%"

    @pytest.mark.parametrize(
        ("value", "top"), [(0, 100), (1, 1), (99, 100), (101, 200), (2_400, 2_500), (5_001, 10_000)]
    )
    def test_round_up(self, value: int, top: int) -> None:
        assert charts.round_up(value) == top


class TestFigures:
    def shown(self, *, health: int | None = 90) -> Dashboard:
        hero = Hero(
            revenue_guarded=Figure(300, 200),
            recovered=Figure(250, None),
            protected=Figure(50, 0),
            recovered_count=Figure(1, 0),
            reversed=Figure(0, 0),
            reversed_count=0,
            leakage=Figure(100, 100),
            leakage_now=400,
            shadow_leakage=400,
            impending_risk=70,
            open_ghosts=1,
            health=health,
            recovery_rate=0.5,
        )
        return Dashboard(
            "Aurora",
            "eur",
            ("eur",),
            30,
            date(2026, 2, 1),
            date(2026, 3, 2),
            hero,
            Funnel(4, 3, 2, 1),
            (),
            (),
            None,
            NOW,
        )

    def test_no_figure_without_its_period_and_currency(self) -> None:
        for figure in figures_of(self.shown()):
            assert "EUR" in figure.period
            assert "30 days" in figure.period or "now" in figure.period

    def test_flows_say_how_they_changed(self) -> None:
        guarded, recovered, *_ = figures_of(self.shown())
        assert guarded.change == "▲ 50.0% against the 30 days before"
        assert recovered.change == "no earlier period"

    def test_merits_are_shares_of_what_came_back(self) -> None:
        came_by = (Merit(Mechanism.CLICK, 7500, 3), Merit(Mechanism.STRIPE_RETRY, 2500, 1))
        views = merit_views(came_by, self.shown().hero, "eur")
        assert [(each.label, each.amount, each.count, each.width) for each in views] == [
            ("A click on our link", "€75.00", "3 payments", "75.00%"),
            ("Stripe's retry", "€25.00", "1 payment", "25.00%"),
        ]

    def test_what_went_back_stands_beside_what_came(self) -> None:
        shown = self.shown()
        shown = replace(shown, hero=replace(shown.hero, reversed=Figure(5000, 0), reversed_count=1))
        _, recovered, *_ = figures_of(shown)
        assert recovered.note == "1 invoice less €50.00 that went back, 50% of what was found"
        views = merit_views((Merit(Mechanism.CLICK, 7500, 3),), shown.hero, "eur")
        assert [(each.label, each.amount, each.count) for each in views] == [
            ("A click on our link", "€75.00", "3 payments"),
            ("Refunded or disputed", "-€50.00", "once"),
        ]
        (alone,) = merit_views((), shown.hero, "eur")
        assert alone.width == "100.00%"

    def test_refunds_that_came_to_nothing_later_are_given_back(self) -> None:
        shown = self.shown()
        shown = replace(shown, hero=replace(shown.hero, reversed=Figure(-5000, 5000), reversed_count=-2))
        assert figures_of(shown)[1].note == "1 invoice and €50.00 given back, 50% of what was found"
        (alone,) = merit_views((), shown.hero, "eur")
        assert (alone.label, alone.amount, alone.count) == ("Refunds that failed", "€50.00", "twice")

    def test_what_was_made_safe_stands_beside_what_failed_after_all(self) -> None:
        made = (Merit(Mechanism.CLICK, 7500, 3), Merit(Mechanism.ORGANIC, 2500, 1))
        views = made_safe_views(MadeSafe(made, 2500, 1), "eur")
        assert [(each.label, each.amount, each.count, each.width, each.tone) for each in views] == [
            ("A click on our link", "€75.00", "3 charges", "75.00%", "protected"),
            ("On its own", "€25.00", "1 charge", "25.00%", "protected"),
            ("Failed after all", "-€25.00", "1 charge", "25.00%", "leaking"),
        ]
        assert made_safe_views(MadeSafe((), 0, 0), "eur") == []

    def test_health_without_billing_is_no_number(self) -> None:
        assert figures_of(self.shown(health=None))[-1].value == formats.NONE

    def test_funnel_shares_are_of_what_was_found(self) -> None:
        assert [(step.count, step.share) for step in steps_of(Funnel(4, 3, 2, 1))] == [
            ("4", "100%"),
            ("3", "75%"),
            ("2", "50%"),
            ("1", "25%"),
        ]


class TestWhatBrowsersName:
    @pytest.mark.parametrize(("given", "kept"), [("a\x00b\ud800c", "abc"), (5, "5"), ("x" * 500, "x" * 200)])
    def test_typed_words_fit_a_database(self, given: object, kept: str) -> None:
        assert words_of(given) == kept

    @pytest.mark.parametrize("given", ["", "a b", "../x", "x" * 65, "\x00", 5, None, ["gh_1"]])
    def test_what_is_no_identifier_names_nothing(self, given: object) -> None:
        assert identifier(given) == ""
        assert identifier("gh_01kx3") == "gh_01kx3"


class TestNextPage:
    @pytest.mark.parametrize(
        ("path", "ours"),
        [
            ("/dashboard", True),
            ("/recoveries/gh_1?x=1", True),
            ("//evil.example", False),
            ("https://evil.example", False),
            ("/\\evil.example", False),
            ("/a\nb", False),
            ("", False),
        ],
    )
    def test_only_paths_of_ours(self, path: str, ours: bool) -> None:
        assert local(path) is ours
