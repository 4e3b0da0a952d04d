"""What a provider says is kept without whom it says it of."""

import pytest

from models.messaging import Message
from services.messaging import provider_text


@pytest.mark.parametrize("recipient", ["ada@example.com", "{odd}|chars~!#$%&'*/=?^_`@example.com", '"q u"@example.com'])
def test_no_address_is_kept_however_it_is_written(recipient: str) -> None:
    said = f"smtp; 550 5.1.1 <{recipient.upper()}>: not ada.l@elsewhere.example"
    kept = provider_text.to_keep(Message(recipient=recipient), said)
    assert kept == "smtp; 550 5.1.1 <[email]>: not [email]"


def test_nothing_is_kept_of_somebody_forgotten() -> None:
    assert provider_text.to_keep(Message(recipient=None), "No such mailbox: Ada Lovelace") == ""


def test_a_long_text_is_cut_and_no_address_with_it() -> None:
    kept = provider_text.to_keep(Message(recipient="ada@example.com"), "x" * 495 + " ada@example.com")
    assert kept == "x" * 495 + " [ema"
    assert len(provider_text.to_keep(Message(recipient="a@b.example"), "x" * 1_000_000)) == 500
