"""Of several things that an event is about, which oddity is told, and that it hides none of the others."""

from collections.abc import Sequence

import pytest

from services.handshake.looking import Oddity
from services.integrations.stripe.errors import StripeNotFoundError, StripeUnavailableError
from services.integrations.stripe.parsing import UnreadableInvoiceError

GONE, OTHER_GONE = StripeNotFoundError(stripe_code="first"), StripeNotFoundError(stripe_code="second")
UNREADABLE = UnreadableInvoiceError("no_currency", "in_1")


def found(what: object) -> object:
    if isinstance(what, Exception):
        raise what
    return what


def read_all(*what: object) -> tuple[Oddity, Sequence[object]]:
    odd = Oddity()
    return odd, [odd.read(found, each) for each in what]


class TestOddity:
    def test_what_is_odd_is_none_and_the_others_are_read(self):
        _, read = read_all("in_1", GONE, "in_2", UNREADABLE, "in_3")
        assert read == ["in_1", None, "in_2", None, "in_3"]

    def test_nothing_is_told_where_nothing_was_odd(self):
        odd, _ = read_all("in_1", "in_2")
        odd.tell()

    @pytest.mark.parametrize("order", [(GONE, UNREADABLE), (UNREADABLE, GONE), (GONE, UNREADABLE, OTHER_GONE)])
    def test_what_cannot_be_read_is_told_rather_than_what_is_gone(self, order: tuple[Exception, ...]):
        odd, _ = read_all(*order)
        with pytest.raises(UnreadableInvoiceError) as told:
            odd.tell()
        assert told.value is UNREADABLE

    def test_of_what_is_gone_the_first_is_told(self):
        odd, _ = read_all(GONE, "in_1", OTHER_GONE)
        with pytest.raises(StripeNotFoundError) as told:
            odd.tell()
        assert told.value is GONE

    def test_what_is_not_odd_but_trouble_comes_at_once(self):
        with pytest.raises(StripeUnavailableError):
            read_all(GONE, StripeUnavailableError(), "in_1")
