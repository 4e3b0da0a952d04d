"""One PHANTOM a module; each test has a business of its own in it."""

from collections.abc import Iterator

import pytest

from tests.chaos.arena import Arena


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena.open() as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured and wrote down by `record_property`, passed or not."""
    ended = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    told = [(report.nodeid, *each) for report in ended for each in report.user_properties if report.when == "call"]
    if told:
        terminalreporter.section("figures")
    for test, name, value in told:
        terminalreporter.line(f"{test}: {name}: {value}")
