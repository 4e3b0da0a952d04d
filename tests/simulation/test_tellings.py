"""Proof for what is told to the team and to the operator, and for who is forgotten: a broken engine is found out."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.analytics import digest
from services.manual_tasks import alerts
from services.messaging import repository as messages
from services.outbound import usage
from services.recovery import purge, tombstones
from services.tasks import service as tasks
from tests.simulation.broken import Broken, is_found_out, needs_a_person
from tests.simulation.place import Place
from tests.simulation.scenario import Scenario

pytestmark = pytest.mark.timeout(300)  # several seeds a test, on a machine that may be busy

# Whichever of what one break breaks comes first.
CAME_BACK = ("who asked to be forgotten stays away", "nothing to who asked to be forgotten")
TOLD_TOO_MUCH = ("a day's usage is told once", "never more usage than there was")

# -- what a broken PHANTOM does -----------------------------------------------------------------------------------

_address = digest.address


class _SameWeek(digest.Week):
    """The same week, and another name for it."""

    @property
    def name(self) -> str:
        return f"{super().name}-again"


def _told_twice(session: Any, merchant_id: str, week: digest.Week) -> int:
    again = _SameWeek(week.monday, week.timezone)
    return _address(session, merchant_id, week) + _address(session, merchant_id, again)


def _a_week_ago(week: digest.Week) -> date:
    return week.begins.date() - timedelta(days=8)


def _all_anew(counted: Mapping[date, int], _spent: int, _closed: Any, days: Collection[date]) -> dict[date, int]:
    return {day: counted[day] for day in days if counted.get(day, 0) > 0}


def _nothing(*_: Any, **__: Any) -> list[Any]:
    return []


def _nobody(*_: Any, **__: Any) -> set[str]:
    return set()


def _not_now(*_: Any, **__: Any) -> int:
    return 0


def _kept(*_: Any, **__: Any) -> None: ...


def _scheduled_twice(session: Any, **task: Any) -> None:
    tasks.schedule(session, **task)
    tasks.schedule(session, **task | {"key": f"{task['key']}-again"})


# -- seeds in which it matters ------------------------------------------------------------------------------------


def _has_team(scenario: Scenario) -> bool:
    return scenario.has_team


def _decides(scenario: Scenario) -> bool:
    """A team, and something that waits for its decision."""
    return scenario.has_team and needs_a_person(scenario)


def _is_billed(scenario: Scenario) -> bool:
    return scenario.is_billed


def _forgets(scenario: Scenario) -> bool:
    return scenario.keeps_days > 0


BROKEN: dict[str, Broken] = {
    "two digests a week": Broken(digest, "address", _told_twice, "one digest a week", _has_team),
    "last week's digest": Broken(
        digest.Week, "until", property(_a_week_ago), "a digest's sums are the week's", _has_team
    ),
    "no digest": Broken(digest, "address", _not_now, "a week's digest comes", _has_team),
    "alerted twice": Broken(
        alerts, "tasks", SimpleNamespace(schedule=_scheduled_twice), "a task is told of once", _decides, 9
    ),
    "nobody is alerted": Broken(alerts, "address", _not_now, "every task is told of", _decides, 9),
    "usage told anew": Broken(usage, "reports_due", _all_anew, TOLD_TOO_MUCH, _is_billed),
    "usage not told": Broken(usage, "_due", _nothing, "all usage is told", _is_billed),
    "nobody's time is over": Broken(purge, "purge_due", _not_now, "people are forgotten in time", _forgets),
    "letters are kept": Broken(messages, "empty_of_ghosts", _kept, "nothing personal is left", _forgets),
    "the forgotten come back": Broken(
        tombstones, "buried", _nobody, CAME_BACK, begin=16, staff="erase"
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_found_out(where: Place, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    is_found_out(where, monkeypatch, BROKEN[broken])
