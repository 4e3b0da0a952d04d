"""What happens when a handler fails: a person reads one calm sentence, the log gets the place, nobody the payload.

Reflex and its socket libraries put whole event payloads, headers and cookies into messages and tracebacks. The
filter below keeps their first words and the frames, and drops every value.
"""

import logging
import re
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from redis.exceptions import RedisError
from reflex.event import EventSpec

from core.errors import PhantomError
from phantom_app.limits import Bucket

log = logging.getLogger(__name__)

_FRAMEWORK = ("reflex", "socketio", "engineio", "asyncio")
_VALUES = re.compile(
    r"(?:Event data:|event data:|but received|with value|headers|cookie|Event\(|future:|payload).*", re.DOTALL
)
_LONGEST = 300
NOTICES_PER_SECOND = 20


def places(trace: TracebackType | None) -> list[str]:
    """Where a traceback went, without what it carried."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


class FrameworkFilter(logging.Filter):
    """Takes values out of the framework's own log lines; ours pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_FRAMEWORK):
            return True
        record.msg = _VALUES.sub("[values left out]", record.getMessage())[:_LONGEST]
        record.args = ()
        if record.exc_info and record.exc_info[0] is not None:
            record.facts = {"error": record.exc_info[0].__name__, "places": places(record.exc_info[2])}
        record.exc_info = record.exc_text = None
        return True


def install_filter() -> None:
    """Put the filter on the handlers of the root logger (a logger's own filters miss its children)."""
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # Reflex imports Alembic, which chats
    for handler in logging.getLogger().handlers:
        if not any(isinstance(existing, FrameworkFilter) for existing in handler.filters):
            handler.addFilter(FrameworkFilter())


def log_failure(error: Exception) -> None:
    """One line with the kind of failure and where it happened."""
    facts: dict[str, object] = {"error": type(error).__name__, "places": places(error.__traceback__)}
    if isinstance(error, PhantomError):
        facts["code"] = error.code
    log.error("screen.handler_failed", extra={"facts": facts})


def on_page_failure(exception: Exception) -> None:
    """A browser reported a failure of a page; its text is the visitor's, so only its length is kept."""
    log.warning("screen.page_failed", extra={"facts": {"characters": len(str(exception))}})


def make_handler(notice: Any) -> Callable[[Exception], EventSpec | None]:
    """A backend exception handler that logs and shows `notice` in the tab where it happened.

    The notice is an event of its own and can fail, too, above all when no state can be loaded because Redis is
    away: then, and when notices come in a flood, there is none, or each would cause the next.
    """
    notices = Bucket(NOTICES_PER_SECOND, NOTICES_PER_SECOND, time.monotonic)

    def on_handler_failure(exception: Exception) -> EventSpec | None:
        log_failure(exception)
        if isinstance(exception, RedisError) or not notices.take():
            return None
        return notice()  # type: ignore[no-any-return]

    return on_handler_failure
