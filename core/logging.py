"""JSON logs with one correlation id from request through job to vendor call, and secrets taken out.

Event names are dotted (`recovery.message_sent`); facts travel as `extra={"facts": {...}}` so that a line can be
searched by field.
"""

import contextlib
import contextvars
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from core.ids import new_correlation_id

_correlation: contextvars.ContextVar[str] = contextvars.ContextVar("correlation_id", default="")

# What a secret looks like wherever it appears: Stripe keys and secrets, Resend keys, OAuth codes, bearer headers,
# session cookies and URLs with a password. Card numbers never reach us, yet a log must not be the place to find one.
_SECRETS = re.compile(
    r"(?:sk|rk|pk|phk|whsec|ac|re|rt|pi|seti)_(?:live_|test_)?[A-Za-z0-9]{12,}(?:_secret_[A-Za-z0-9]+)?"
    r"|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?:__Host-)?phantom_[a-z]+=[^;\s\"']+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|\b\d{13,19}\b"
)
_EMAIL = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
_SECRET_NAMES = re.compile(r"(?i)password|secret|token|authorization|cookie|api_key|encryption")


def redact(text: str) -> str:
    """`text` with everything that looks like a secret or an email address replaced."""
    return _EMAIL.sub("[email]", _SECRETS.sub("[redacted]", text))


def _clean(value: Any, name: str = "") -> Any:
    if name and _SECRET_NAMES.search(name):
        return "[redacted]"
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(key): _clean(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return value


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, correlation id, facts, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(record.getMessage()),
        }
        if correlation_id := _correlation.get():
            line["correlation_id"] = correlation_id
        facts = getattr(record, "facts", None)
        if facts:
            line["facts"] = _clean(facts)
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str = "INFO") -> None:
    """Send everything to stdout as JSON lines; third-party chatter below WARNING is dropped."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("stripe", "httpx", "httpcore", "rq.worker", "urllib3", "alembic.runtime.migration", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def correlation_id() -> str:
    """The id of the request or job under way, or an empty string outside one."""
    return _correlation.get()


@contextlib.contextmanager
def correlated(given: str | None = None) -> Iterator[str]:
    """Run a block under a correlation id, a new one unless one was handed on."""
    value = given or new_correlation_id()
    token = _correlation.set(value)
    try:
        yield value
    finally:
        _correlation.reset(token)
