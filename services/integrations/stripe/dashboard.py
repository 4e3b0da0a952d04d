"""Where a person finds an object in Stripe's own Dashboard."""

from urllib.parse import quote

from core import config

BASE = "https://dashboard.stripe.com"


def invoice_address(account: str, invoice_id: str, *, livemode: bool) -> str:
    """The page of an invoice, with the account chosen and in its mode; empty where no Stripe stands behind the ids."""
    if not account or not invoice_id.startswith("in_"):
        return ""
    if config.settings().stripe_api_base != config.Settings.model_fields["stripe_api_base"].default:
        return ""  # the sandbox has no Dashboard, and Stripe knows none of its ids
    return f"{BASE}/{quote(account, safe='')}/{'' if livemode else 'test/'}invoices/{quote(invoice_id, safe='')}"
