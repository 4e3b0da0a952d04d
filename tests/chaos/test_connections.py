"""Connections that are slow, silent and cut, between each of our processes and everything it talks to."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.chaos.arena import Arena
from tests.chaos.business import Business
from tests.chaos.harm import Load
from tests.chaos.ledger import judge
from tests.support.proxy import StandingProxy, standing_proxy

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

Harm = Callable[[StandingProxy, Load], None]
_NAMES = {
    "PostgreSQL": ("DATABASE_URL", "DATABASE_SYSTEM_URL"),
    "Redis": ("REDIS_URL",),
    "Stripe": ("STRIPE_API_BASE", "STRIPE_CONNECT_BASE"),
    "Resend": ("RESEND_API_BASE",),
}
_MODULES = {"web": "phantom_app.serve", "worker": "jobs.worker", "sentinel": "jobs.sentinel"}


@contextlib.contextmanager
def proxied(arena: Arena, service: str, vendor: str) -> Iterator[StandingProxy]:
    """The service is replaced by one that reaches the vendor through a proxy."""
    with standing_proxy(arena.told[_NAMES[vendor][0]]) as proxy:
        changed = {name: proxy.url(arena.told[name]) for name in _NAMES[vendor]}
        arguments = ["--port", str(arena.home.port)] if service == "web" else []
        with arena.without(service), arena.beside(_MODULES[service], *arguments, **changed) as part:
            if service == "worker":
                part.wait_for("worker.started")
            arena.wait_until_well(without=service)
            try:
                yield proxy
                proxy.mend()
                arena.wait_until_well(without=service)
                arena.wait_until_quiet()
            finally:
                proxy.mend()


def slow(proxy: StandingProxy, load: Load) -> None:
    proxy.slow(delay=0.05)
    load.run(4)
    load.finish()


def dripping(proxy: StandingProxy, load: Load) -> None:
    proxy.slow(bytes_per_second=20_000)
    load.run(4)
    load.finish()


def silent(proxy: StandingProxy, load: Load) -> None:
    """It accepts and never answers, longer than a lease; then it goes on as if nothing had been."""
    load.run(1)
    proxy.hold()
    load.run(12)
    proxy.mend()
    load.finish()


def cut_again_and_again(proxy: StandingProxy, load: Load) -> None:
    load.run(5, proxy.drop)
    load.finish()


def cut_before_the_answer(proxy: StandingProxy, load: Load) -> None:
    """What was asked for is done, and who asked is not told."""

    def again() -> None:
        proxy.cut_answers(1)

    load.run(5, again)
    proxy.mend()
    load.finish()


def away(proxy: StandingProxy, load: Load) -> None:
    load.run(1)
    proxy.cut()
    load.run(4)
    proxy.mend()
    load.finish()


BAD = [
    ("web", "PostgreSQL", dripping),
    ("web", "PostgreSQL", silent),
    ("web", "PostgreSQL", cut_again_and_again),
    ("worker", "PostgreSQL", slow),
    ("worker", "PostgreSQL", silent),
    ("worker", "PostgreSQL", cut_before_the_answer),
    ("sentinel", "PostgreSQL", silent),
    ("sentinel", "PostgreSQL", cut_again_and_again),
    ("worker", "Stripe", slow),
    ("worker", "Stripe", silent),
    ("worker", "Stripe", cut_before_the_answer),
    ("worker", "Stripe", away),
    ("worker", "Resend", cut_before_the_answer),
    ("web", "Redis", silent),
    ("worker", "Redis", silent),
    ("worker", "Redis", cut_again_and_again),
]


@pytest.mark.parametrize(
    ("service", "vendor", "harm"), BAD, ids=[f"{service}-{vendor}-{harm.__name__}" for service, vendor, harm in BAD]
)
def test_a_bad_connection(arena: Arena, service: str, vendor: str, harm: Harm) -> None:
    business = Business.open(arena, f"{service} to {vendor} {harm.__name__}", customers=9)
    load = Load(business, pause=0.15)
    with proxied(arena, service, vendor) as proxy:
        harm(proxy, load)
    arena.wait_until_well()
    arena.wait_until_quiet()
    figures = judge(business)
    assert (figures["ghosts"], figures["recovered"]) == (9, 3)


@pytest.mark.parametrize(("vendor", "request_line"), [("Stripe", b"/pay HTTP"), ("Resend", b"POST /emails")])
def test_every_first_answer_is_lost(arena: Arena, vendor: str, request_line: bytes) -> None:
    """Each charge, each mail is made at the vendor, and the connection is reset before anybody here hears of it."""
    business = Business.open(arena, f"Lost answers of {vendor}", customers=3)
    with proxied(arena, "worker", vendor) as proxy:
        for number, invoice in enumerate(business.invoices, 1):
            proxy.cut_answers(1, lambda sent: request_line in sent)
            business.announce(invoice)
            business.wait_for_mail(invoice)
            arena.wait_until_quiet()
            business.new_card(invoice)
            business.wait_until_paid(invoice)
            arena.wait_until_quiet()
            assert proxy.cuts == number
    figures = judge(business)
    assert (figures["mails"], figures["recovered"]) == (3, 3)
