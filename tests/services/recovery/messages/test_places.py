"""Where each strategy leads: a message's words and its link ask for the same thing, whatever the bank said."""

from types import SimpleNamespace

import pytest

from models.ghost import GhostState, Strategy
from services.integrations.stripe.facts import DeclineFacts
from services.messaging.wording import Template, template_of
from services.recovery.messages.destinations import Place, place_for
from services.recovery.strategy import GROUP_OF_CODE, decide

LINE = 100_000
PAY_NOW = {Template.CONFIRM, Template.TECHNICAL, Template.FUNDS}
DEAD = ("expired_card", "incorrect_number", "lost_card", "stolen_card", "fraudulent")


def led(code: str, amount: int, advice: str = "") -> tuple[Template, Place]:
    """The words for a decline of so much, and where their link leads."""
    decline = DeclineFacts(decline_code=code, advice_code=advice)
    found = decide(decline, attempts=1, amount=amount, high_value_line=LINE)
    ghost = SimpleNamespace(
        strategy=found.strategy, decline_group=found.group, state=GhostState.OPEN, customer_id="cus_1"
    )
    return template_of(found.group, found.strategy), place_for(ghost)  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", [LINE, LINE + 1])
@pytest.mark.parametrize("advice", ["", "do_not_try_again", "confirm_card_data"])
@pytest.mark.parametrize("code", sorted(GROUP_OF_CODE))
def test_who_is_asked_for_a_card_can_give_one_and_who_is_asked_to_pay_can_pay(
    code: str, advice: str, amount: int
) -> None:
    template, place = led(code, amount, advice)
    if template is Template.NEW_CARD:
        assert place is Place.PORTAL
    if template in PAY_NOW:
        assert place is Place.HOSTED_INVOICE


@pytest.mark.parametrize("amount", [LINE, LINE + 1])
@pytest.mark.parametrize("code", DEAD)
def test_a_dead_card_is_replaced_and_not_paid_around_however_much_it_is(code: str, amount: int) -> None:
    assert led(code, amount)[1] is Place.PORTAL


def test_above_the_line_a_refused_amount_and_an_empty_account_are_paid_on_the_invoice() -> None:
    assert {led(code, LINE + 1)[1] for code in ("invalid_amount", "insufficient_funds")} == {Place.HOSTED_INVOICE}
    assert (
        decide(DeclineFacts(decline_code="invalid_amount"), attempts=1, amount=1, high_value_line=LINE).strategy
        is Strategy.HIGH_VALUE_MANUAL
    )
