"""SIGKILL at every named crash point: the death happens, and nothing is lost or doubled by it."""

import pytest

from core.crash_points import POINTS
from tests.chaos.arena import Arena
from tests.chaos.business import AMOUNT, Business
from tests.chaos.ledger import COOLDOWN_SECONDS, judge
from tests.chaos.texts import Texted
from tests.support.wait import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

HUNT_EVERY, DAY_SECONDS = 12 * 3600, 86_400


def play(arena: Arena, name: str) -> Business:
    """A failed payment's whole way: connect, webhook, mail, click, new card, charge; and one that only a hunt finds."""
    business = Business.open(arena, name, customers=2)
    told, untold = business.invoices
    business.announce(told)
    business.click(told)
    business.new_card(told)
    business.wait_until_paid(told)
    arena.wait_until_quiet()
    arena.pass_time(HUNT_EVERY)
    business.wait_for_hunts(2)
    business.wait_for_mail(untold)
    arena.wait_until_quiet()
    return business


# What PHANTOM does for the house itself: its own mails, and its own bill.
OWN_MAIL, OWN_BILL = "team_mail.handed_over", ("usage.intended", "usage.told")


def test_a_team_is_alerted_once_though_the_sender_dies(arena: Arena) -> None:
    business = Business.open(arena, "Death of an alert")
    business.confirm_owner()
    arena.arm(OWN_MAIL)
    (invoice,) = business.fail(1, amount=1_000_000)  # so much that a person has to look
    business.announce(invoice)
    wait_until(lambda: not arena.armed(), timeout=90, what=f"somebody died at {OWN_MAIL}")
    arena.wait_until_well()
    arena.wait_until_quiet()
    assert len(business.mails_to_owner()) == 1
    assert business.mails() == []


@pytest.mark.parametrize("point", OWN_BILL)
def test_a_day_is_billed_once_though_the_reporter_dies(arena: Arena, point: str) -> None:
    business = Business.open(arena, f"Bill and {point}", customers=1)
    business.bill()
    (invoice,) = business.invoices
    business.announce(invoice)
    business.click(invoice)
    business.new_card(invoice)
    business.wait_until_paid(invoice)
    arena.wait_until_quiet()
    arena.arm(point)
    for _ in range(2):  # until the day is over, and the report's own hour has come
        arena.pass_time(86_400)
        arena.wait_until_well()
        arena.wait_until_quiet()
    assert not arena.armed(), f"somebody died at {point}"
    assert business.billed() == AMOUNT
    judge(business)


def test_a_text_that_may_have_gone_is_not_sent_again_and_the_next_one_comes(arena: Arena) -> None:
    """A process dies before the provider heard of it, which nobody can know: it counts, and what follows it comes."""
    texted = Texted.open(Business.open(arena, "Text begun"), 1)
    (invoice,) = texted.numbers
    texted.die_over(invoice, "message.intended")
    assert (texted.states(invoice), texted.sent(invoice)) == (["uncertain"], [])
    arena.pass_time(COOLDOWN_SECONDS + DAY_SECONDS)  # to the customer's next morning after it
    wait_until(lambda: texted.sent(invoice), timeout=60, what="the next text goes")
    arena.wait_until_quiet()
    assert len(texted.sent(invoice)) == 1
    assert texted.states(invoice)[0] == "uncertain"


@pytest.mark.parametrize("point", [point for point in POINTS if point not in (OWN_MAIL, *OWN_BILL)])
def test_a_death_there_loses_and_doubles_nothing(arena: Arena, point: str) -> None:
    arena.arm(point)
    business = play(arena, f"Death at {point}")
    wait_until(lambda: not arena.armed(), what=f"somebody died at {point}")
    arena.wait_until_well()
    arena.wait_until_quiet()
    figures = judge(business)
    assert figures["recovered"] == 1
    assert figures["ghosts"] == figures["mails"] == 2
