"""Numbers for an operator, in Prometheus' format: what is counted, how it is counted, and who may read it.

Several processes of a host count: web workers, workers, the Sentinel. Each writes memory-mapped files of its own in
one folder (`share`), so that a scrape answered by any of them tells of all, and what a killed process counted is not
lost with it. Without a folder a process counts for itself.

Labels are bounded: kinds, outcomes, route templates, currencies; never a merchant, an id or a raw path. What these
counters say begins at the host's last start and can miss what a crash cut off between a commit and its count: money
is told by the ledger, this is for rates and alarms.

`prometheus_client` is imported at first use and here alone: it decides between files and memory when it is imported.
"""

import asyncio
import atexit
import bisect
import contextlib
import fcntl
import hmac
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from core import metric_files
from core.errors import PhantomError

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # the library reads it when it is imported
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_MAKING = threading.Lock()
log = logging.getLogger(__name__)
QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SLOW = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 7200.0)


@dataclass
class _Metric:
    """A named family with fixed labels; its real counterpart is made when something is counted."""

    name: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    _children: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)
    _family: Any = field(default=None, repr=False)

    def _child(self, values: tuple[str, ...]) -> Any:
        found = self._children.get(values)
        return self._make(values) if found is None else found

    def _make(self, values: tuple[str, ...]) -> Any:
        with _MAKING:  # two threads that count something for the first time: the library refuses a name twice
            if self._family is None:
                self._family = _registry().family(self)
            found = self._children[values] = self._family.labels(*values) if self.labels else self._family
        return found


class Count(_Metric):
    """Only ever grows."""

    def add(self, *values: str, amount: float = 1) -> None:
        """Count `amount` (never negative) under these values of the labels."""
        self._child(values).inc(amount)


class Timing(_Metric):
    """How long something took, and by its `_count` how often it happened."""

    def observe(self, seconds: float, *values: str) -> None:
        """Note that something under these values of the labels took `seconds`."""
        self._child(values).observe(max(seconds, 0.0))

    def observe_many(self, counts: Sequence[int], seconds: float, *values: str) -> None:
        """Note as many observations a bucket as `counts` says, the last beyond all buckets, `seconds` in sum."""
        child = self._child(values)  # the library has no public way to add more than one at a time
        for bucket, count in zip(child._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        child._sum.inc(seconds)


class Gathered:
    """Observations of one timing, collected as plain numbers and written together a few times a second.

    For the one path where each microsecond counts: a tenth of the price. For one event loop's thread, and a killed
    process loses what it had not written.
    """

    def __init__(self, timing: Timing, every: float = 0.25) -> None:
        self._timing, self._every = timing, every
        self._counts: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._waits = False

    def observe(self, seconds: float, outcome: str) -> None:
        """Note one observation, on a running loop."""
        counts = self._counts.get(outcome)
        if counts is None:
            counts = self._counts[outcome] = [0] * (len(self._timing.buckets) + 1)
            self._seconds[outcome] = 0.0
        counts[bisect.bisect_left(self._timing.buckets, seconds)] += 1
        self._seconds[outcome] += seconds
        if not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_later(self._every, self.write)

    def write(self) -> None:
        """Write what was collected."""
        self._waits = False
        for outcome, counts in self._counts.items():
            if any(counts):
                self._timing.observe_many(counts, self._seconds[outcome], outcome)
        self._counts, self._seconds = {}, {}


HTTP = Timing(
    "phantom_http_request_seconds",
    "HTTP requests by route template; pages and their files are one, webhooks are phantom_intake_seconds",
    ("method", "route", "status"),
    QUICK,
)
INTAKE = Timing("phantom_intake_seconds", "Webhook deliveries until they are answered", ("outcome",), QUICK)
TASKS = Timing("phantom_task_seconds", "Runs of durable tasks", ("kind", "outcome"), SLOW)
TASK_WAIT = Timing("phantom_task_wait_seconds", "From when a task was due until it began", ("kind",), SLOW)
STRIPE = Timing("phantom_stripe_request_seconds", "Requests to Stripe, repeats included", ("method", "outcome"), SLOW)
MESSAGES = Count("phantom_messages_total", "Messages by what became of handing them over", ("outcome",))
HUNTS = Timing("phantom_hunt_seconds", "Hunts that ended", ("trigger", "outcome"), SLOW)
MONEY = Count(
    "phantom_money_minor_units_total",
    "Money found, recovered, protected and reversed, in the currency's minor units",
    ("event", "currency", "mechanism"),
)
MONEY_EVENTS = Count("phantom_money_events_total", "The same, counted", ("event", "currency", "mechanism"))
CATALOGUE: tuple[_Metric, ...] = (HTTP, INTAKE, TASKS, TASK_WAIT, STRIPE, MESSAGES, HUNTS, MONEY, MONEY_EVENTS)


@dataclass(frozen=True, slots=True)
class Reading:
    """A value as it is now, read at the scrape."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class _Registry:
    """The library's side of it, made once a process."""

    def __init__(self) -> None:
        import prometheus_client

        self.library = prometheus_client
        self.own = prometheus_client.CollectorRegistry()

    def family(self, metric: _Metric) -> Any:
        if isinstance(metric, Timing):
            return self.library.Histogram(
                metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=self.own
            )
        return self.library.Counter(metric.name, metric.help, metric.labels, registry=self.own)


_made: list[_Registry] = []
_shared: list[Path] = []


def _registry() -> _Registry:
    if not _made:
        _made.append(_Registry())
    return _made[0]


def share_until_the_end() -> None:
    """Count in a folder that is made now, for this process and its forks, and removed with this process."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="phantom-metrics-"))
    except OSError as error:  # full or read-only: no reason not to work
        log.warning("metrics.not_shared", extra={"facts": {"error": error.strerror}})
        return
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    share(folder)


def share(folder: Path) -> None:
    """From now on count in `folder`, together with this host's other processes; before anything is counted.

    What processes that have ended left there is folded into one file, so that the folder does not grow with each
    restart. Forked processes go on in files of their own. Where the folder cannot be used each process counts for
    itself. Raises `RuntimeError` when counting has begun.
    """
    if "prometheus_client" in sys.modules and _shared != [folder]:
        raise RuntimeError("metrics are shared before the first is counted")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with metric_files.locked(folder, fcntl.LOCK_SH):
            pass  # it can be locked
    except OSError as error:
        os.environ.pop(_FOLDER_VARIABLE, None)
        log.warning("metrics.not_shared", extra={"facts": {"error": error.strerror}})
        return
    os.environ[_FOLDER_VARIABLE] = str(folder)
    _shared[:] = [folder]
    metric_files.use()
    metric_files.fold_in_the_dead(folder)


def empty(folder: Path) -> None:
    """Forget what was counted in `folder`; for whoever starts a host's processes, before the first of them."""
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


def render(readings: Iterable[Reading] = ()) -> bytes:
    """Everything counted on this host (or by this process, where nothing is shared) and `readings`, as text."""
    from prometheus_client import CollectorRegistry, generate_latest, multiprocess
    from prometheus_client.core import GaugeMetricFamily

    class Now:
        def collect(self) -> Iterator[Any]:
            families: dict[str, Any] = {}
            for reading in readings:
                family = families.setdefault(
                    reading.name, GaugeMetricFamily(reading.name, reading.help, labels=sorted(reading.labels))
                )
                family.add_metric([reading.labels[name] for name in sorted(reading.labels)], reading.value)
            yield from families.values()

    now = CollectorRegistry(auto_describe=False)
    now.register(Now())
    if not _shared or metric_files.counts_alone():
        return bytes(generate_latest(_registry().own)) + bytes(generate_latest(now))

    class Counted:
        def collect(self) -> Any:
            add_up: Any = multiprocess.MultiProcessCollector.merge
            return add_up(metric_files.readable(_shared[0]))

    counted = CollectorRegistry(auto_describe=False)
    counted.register(Counted())
    with metric_files.locked(_shared[0], fcntl.LOCK_SH):
        text = bytes(generate_latest(counted))
    return text + bytes(generate_latest(now))


@contextlib.contextmanager
def timed(timing: Timing, *values: str) -> Iterator[list[str]]:
    """Observe a block; the last label's value is what the block puts into the list, or the error's code or class."""
    outcome: list[str] = []
    started = time.perf_counter()
    try:
        yield outcome
    except BaseException as error:
        outcome[:] = [error.code if isinstance(error, PhantomError) else type(error).__name__]
        raise
    finally:
        timing.observe(time.perf_counter() - started, *values, outcome[-1] if outcome else "ok")


def signs_of_a_proxy(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What a proxy between us and the caller has added to a request, if one is there."""
    given = {name.lower(): value for name, value in headers.items()}
    return tuple(given[name] for name in _PROXY_HEADERS if given.get(name))


def may_read(
    peer: str, authorization: str, token: str | None, forwarded: Sequence[str] = (), *, neighbours: bool = False
) -> bool:
    """Whether a caller may have the metrics, which tell a stranger how business goes.

    With a token configured, whoever shows it as a bearer token and nobody else. Without one, callers with a loopback
    address, and those with a private one where `neighbours` may; unless headers (`forwarded`) say that a proxy passed
    somebody on. Behind a proxy, or a gateway that rewrites addresses and says nothing of it, the whole internet can
    have an address of this network: with real money the neighbours are nobody to trust.
    """
    if token:
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
    if any(forwarded):
        return False
    with contextlib.suppress(ValueError):
        address = ip_address(peer.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        return bool(mapped.is_loopback or (neighbours and mapped.is_private))
    return False
