"""A failure leaves its place in the log and nothing of what it carried."""

import logging

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from phantom_app.failures import NOTICES_PER_SECOND, FrameworkFilter, log_failure, make_handler, on_page_failure


def record(name: str, message: str, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, (), info)


def failed() -> ValueError:
    try:
        raise ValueError("card 4242 of ada@example.com")
    except ValueError as error:
        return error


class TestFrameworkFilter:
    @pytest.mark.parametrize(
        "message",
        [
            "Failed to deserialize event data: {'payload': 'secret'}.",
            "Event data must be a dictionary, but received ['secret'] of type list",
            "Error transforming event argument 'a' with value 'secret' and type hint int",
            "Task exception was never retrieved future: <Task secret>",
        ],
    )
    def test_values_are_left_out(self, message: str) -> None:
        line = record("reflex.app", message)
        assert FrameworkFilter().filter(line)
        assert "secret" not in line.getMessage()

    def test_a_traceback_becomes_places(self) -> None:
        line = record("reflex_base.event", "Error in task", failed())
        FrameworkFilter().filter(line)
        assert line.exc_info is None
        assert line.facts["error"] == "ValueError"
        assert "4242" not in str(line.facts)
        assert "test_failures.py" in str(line.facts)

    def test_our_own_lines_pass(self) -> None:
        line = record("phantom_app.guard", "payload of ours")
        FrameworkFilter().filter(line)
        assert line.getMessage() == "payload of ours"


class TestHandlers:
    def test_a_failed_handler_shows_the_notice(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR):
            assert make_handler(lambda: "notice")(failed()) == "notice"
        assert "4242" not in caplog.text
        assert caplog.records[0].facts["error"] == "ValueError"

    def test_no_notice_where_no_state_can_be_loaded(self) -> None:
        assert make_handler(lambda: "notice")(RedisConnectionError("away")) is None

    def test_a_notice_that_fails_itself_does_not_go_on_for_ever(self) -> None:
        handle = make_handler(lambda: "notice")
        assert [handle(failed()) for _ in range(NOTICES_PER_SECOND * 3)].count(None) >= NOTICES_PER_SECOND

    def test_a_page_failure_keeps_only_its_length(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            on_page_failure(ValueError("secret"))
        assert "secret" not in caplog.text + str(caplog.records[0].facts)

    def test_typed_errors_keep_their_code(self, caplog: pytest.LogCaptureFixture) -> None:
        from core.errors import NotFoundError

        with caplog.at_level(logging.ERROR):
            log_failure(NotFoundError())
        assert caplog.records[0].facts["code"] == "not_found"
