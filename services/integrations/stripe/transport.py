"""How requests travel to Stripe: pooled connections, time limits, counted, and with patience for 429."""

import functools
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
import stripe

from core import metrics
from services.integrations.stripe.errors import StripeRateLimitedError

Answer = TypeVar("Answer")
_random = secrets.SystemRandom()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a caller is willing to wait. Times in seconds.

    The SDK retries connection faults, 409 and 5xx itself (`network_retries`, with its own back-off and the same
    idempotency key); it never retries 429, which is ours.
    """

    network_retries: int = 2
    busy_retries: int = 8
    first_wait: float = 0.25
    longest_wait: float = 20.0
    connect_timeout: float = 5.0
    read_timeout: float = 60.0


BATCH = Patience()
"""For long tasks, before which nobody else's work waits: better late than never."""
TASK = Patience(network_retries=1, busy_retries=2, longest_wait=1.0, connect_timeout=3.0, read_timeout=20.0)
"""For quick tasks, which run one after another: who is told to wait goes back into the queue, and others go on. Stripe
may take its time over a charge, and twice that is less than a task's limit."""
INTERACTIVE = Patience(network_retries=1, busy_retries=2, longest_wait=1.0, connect_timeout=3.0, read_timeout=10.0)
"""While a person waits."""


def wait_before(retry: int, patience: Patience, asked: float | None, random: Callable[[], float]) -> float:
    """Seconds before the retry with this number (from 0): doubled each time, jittered into its upper half.

    Without jitter all workers that were told 429 together come back together. Stripe's Retry-After is a floor, within
    the caller's patience.
    """
    ceiling = min(patience.first_wait * 2.0**retry, patience.longest_wait)
    return max(ceiling * (0.5 + random() / 2), min(asked or 0.0, patience.longest_wait))


def with_patience(
    call: Callable[[], Answer],
    patience: Patience,
    *,
    sleep: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = _random.random,
) -> Answer:
    """What `call` returns, asking again while Stripe answers 429. Raises `StripeRateLimitedError` in the end, and at
    once where Stripe asks for a longer wait than there is patience for.
    """
    for retry in range(patience.busy_retries):
        try:
            return call()
        except StripeRateLimitedError as busy:
            if (busy.retry_after or 0.0) > patience.longest_wait:
                raise
            sleep(wait_before(retry, patience, busy.retry_after, random))
    return call()


class CountingClient(stripe.HTTPClient):
    """Tells of each request one client really sends, retries included, over connections that a process shares.

    With `keeps_answers` the caller takes them from here, and the SDK sees empty ones; without, the SDK reads them.
    """

    name = "requests"

    def __init__(
        self, shared: stripe.RequestsClient, on_request: Callable[[], None], *, keeps_answers: bool = False
    ) -> None:
        super().__init__()
        self._shared, self._on_request, self._keeps = shared, on_request, keeps_answers
        self._answered = threading.local()  # a client may be used by several threads

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        self._on_request()
        with metrics.timed(metrics.STRIPE, method.lower()) as outcome:
            answer = self._shared.request(method, url, headers, post_data)
            outcome.append(str(answer[1]))
        if log.isEnabledFor(logging.DEBUG):  # thousands a minute in a hunt: whoever follows one call asks for it
            _note(method, url, answer[1], answer[2])
        self._answered.plain = None
        body, status, told = answer
        if self._keeps and 200 <= status < 300:
            self._answered.plain = read_json(body)
            if self._answered.plain is not None:
                return b"{}", status, told
        return answer

    def take_answer(self) -> dict[str, Any] | None:
        """The object of this thread's last good answer, once; None where the SDK has to read (and refuse) it.

        The SDK reads JSON through Python into ordered dicts, object by object: for a page of a hundred invoices that
        took longer than all the rest of a hunt's work for it, so it is handed an empty one.
        """
        plain: dict[str, Any] | None = getattr(self._answered, "plain", None)
        self._answered.plain = None
        return plain

    def close(self) -> None:
        """The shared connections outlive each client."""


def _note(method: str, url: str, status: int, headers: Mapping[str, str]) -> None:
    """A request that was answered, by the id under which Stripe knows it; its parameters name customers."""
    facts = {"method": method, "path": urlsplit(url).path, "status": status, "request": headers.get("request-id", "")}
    log.debug("stripe.called", extra={"facts": facts})


def read_json(body: bytes | str) -> dict[str, Any] | None:
    """A JSON object as a plain dict; None for what is no JSON object.

    Half a surrogate pair and NaN are no JSON, though others write them: the slower reader takes them as they are.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


@functools.lru_cache(maxsize=8)
def _shared_client(process: int, connect_timeout: float, read_timeout: float) -> stripe.RequestsClient:
    return stripe.RequestsClient(timeout=(connect_timeout, read_timeout))


def shared_client(patience: Patience) -> stripe.RequestsClient:
    """The process's pooled connections, by process id: a socket inherited over a fork would belong to two processes."""
    return _shared_client(os.getpid(), patience.connect_timeout, patience.read_timeout)


def close_connections() -> None:
    """Forget pooled connections (at shutdown and in tests); the next call opens new ones."""
    close_connections_of_thread()
    _shared_client.cache_clear()


def close_connections_of_thread() -> None:
    """Close what this thread opened, at its end: the SDK keeps a pool a thread."""
    for patience in (BATCH, TASK, INTERACTIVE):
        shared_client(patience).close()  # type: ignore[no-untyped-call]  # closes the calling thread's session alone
