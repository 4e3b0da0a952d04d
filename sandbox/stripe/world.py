"""The world a sandbox plays: accounts, clock, settings, hooks, and the lock that keeps it consistent."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import clock
from sandbox.stripe.cards import Attempt, Outcome, decide_by_card
from sandbox.stripe.faults import Faults, Limits
from sandbox.stripe.ids import IdSource
from sandbox.stripe.persistence import Persistence
from sandbox.stripe.store import Json, Space, Store
from sandbox.stripe.versions import version_of


@dataclass
class Settings:
    """How a sandbox is started. Times are seconds, keys are Stripe's."""

    platform_account: str = "acct_1PhantomPlatform0"
    platform_secret_key: str = "sk_test_phantom_platform"
    platform_live_key: str = "sk_live_phantom_platform"
    client_id: str = "ca_phantom_sandbox"
    public_url: str = "http://127.0.0.1:12111"
    seed: str = "phantom"
    data: Path | None = None
    clock_file: Path | None = None
    living: bool = False  # let due items happen by themselves
    deliver: bool = True  # False: pull mode, a driver calls take_deliveries()
    rate_limit: float | None = None  # requests per second and account
    endpoint_rate_limit: float | None = None


# What an account may set about its billing; kept in the account's hidden part.
ACCOUNT_RULES: Json = {
    "force_shape": None,  # answer in this shape whatever Stripe-Version says
    "draft_seconds": 3600,
    "retry_days": [3, 5, 7, 7],  # after each failure, days until the next attempt
    "after_last": "unpaid",  # unpaid | cancel | past_due
    "uncollectible_after_last": False,
    "upcoming_days": 7,
    "automations": False,  # with Stripe's automations, payment_failed does not tell the next attempt
}


@dataclass
class World:
    """State plus rules. Everything that changes it runs inside `transaction()`."""

    settings: Settings = field(default_factory=Settings)
    move_clock: Callable[[int], None] | None = None  # how this process moves time; None: it may not
    decide: Callable[[Attempt], Outcome] = decide_by_card
    store: Store = field(default_factory=Store)
    faults: Faults = field(default_factory=Faults)
    on_change: list[Callable[[], None]] = field(default_factory=list)  # called after each commit
    on_close: list[Callable[[], None]] = field(default_factory=list)  # what lives beside the world ends with it
    beside: dict[str, Any] = field(default_factory=dict)  # e.g. the outbox; this package knows nothing of them
    quiet: bool = False  # while seeding: nothing is an event
    request: Json | None = None  # id and idempotency key of the request being answered, for events

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.random = random.Random(self.settings.seed)
        self.limits = Limits(self.settings.rate_limit, self.settings.endpoint_rate_limit)
        self.root = self.store.space("")
        self._depth = 0
        self._persistence = None
        counter = 0
        if self.settings.data:
            self._persistence = Persistence(self.settings.data / "stripe.sqlite3")
            kept = self._persistence.load(self.store)
            counter = int(kept.get("ids", 0))
            self._relocate(kept.get("public_url", self.settings.public_url))
        self.ids = IdSource(self.settings.seed, counter)
        if self.move_clock is None and self.settings.clock_file:
            path = self.settings.clock_file
            self.move_clock = lambda moment: clock.set_now(path, datetime.fromtimestamp(moment, UTC))
        from sandbox.stripe import accounts, clockwork, deliveries

        self.deliveries = deliveries.Deliveries(self)
        self.clockwork = clockwork.Clockwork(self)
        with self.transaction():
            accounts.ensure_platform(self)

    def _relocate(self, former: str) -> None:
        """Pages of an earlier run live at this run's address (a restart may get another port)."""
        if former == self.settings.public_url:
            return
        for space in self.store.spaces.values():
            for kind, names in (
                ("invoice", ("hosted_invoice_url", "invoice_pdf")),
                ("billing_portal.session", ("url",)),
            ):
                for obj in space.table(kind).objects.values():
                    for name in names:
                        if obj[name] and obj[name].startswith(former):
                            obj[name] = self.settings.public_url + obj[name].removeprefix(former)
                            space.save(kind, obj)

    # -- time ---------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Unix seconds on the shared clock."""
        return clock.timestamp()

    # -- consistency --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock; at the outermost end write what changed, so nothing acknowledged is lost."""
        with self.lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                changed = bool(self.store.dirty or self.store.gone)
                if not self._depth and changed:
                    self.commit()
        if not self._depth and changed:
            for tell in self.on_change:
                tell()

    def commit(self) -> None:
        """Write now; long batches call it now and then."""
        if self._persistence:
            self._persistence.commit(self.store, {"ids": str(self.ids.counter), "public_url": self.settings.public_url})
        else:
            self.store.dirty.clear()
            self.store.gone.clear()

    def close(self) -> None:
        """Write what is left and close the file."""
        with self.lock:
            self.commit()
            if self._persistence:
                self._persistence.close()
                self._persistence = None
            while self.on_close:
                self.on_close.pop()()

    # -- accounts -----------------------------------------------------------------------------------------------

    def space(self, account: "str | Space", *, live: bool = False) -> Space:
        """The objects of one account in one mode; unknown accounts raise KeyError."""
        if isinstance(account, Space):
            return account
        if account not in self.root.table("account").objects:
            raise KeyError(account)
        return self.store.space(f"{account}/live" if live else account)

    def account(self, account: str) -> Json:
        """The account object; unknown accounts raise KeyError."""
        return self.root.table("account").objects[account]

    def rule(self, space: Space, name: str) -> Any:
        """One of ACCOUNT_RULES as this account has it."""
        return self.root.private(space.account).get("rules", {}).get(name, ACCOUNT_RULES[name])

    def shape(self, space: Space) -> str:
        """The account's own invoice shape: `acacia` or `basil`."""
        found: str = self.root.private(space.account).get("shape", "basil")
        return found

    def default_version(self, space: Space) -> str:
        """The API version the account is pinned to."""
        return version_of(self.shape(space))
