"""What an account lets us do: which permission each request needs, and how Stripe says no. Pure."""

import re
from enum import StrEnum
from typing import Any

import stripe

from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeCallError,
    StripeMeterError,
    StripePaymentRefusedError,
    StripePermissionError,
    StripePortalError,
)


class Capability(StrEnum):
    """What PHANTOM does at Stripe, in the grain in which Stripe grants it; a closed list, kept per merchant."""

    ACCOUNT = "account"  # the credential itself
    READ_INVOICES = "read_invoices"
    READ_SUBSCRIPTIONS = "read_subscriptions"
    READ_CUSTOMERS = "read_customers"
    READ_PAYMENTS = "read_payments"
    READ_CHARGES = "read_charges"  # refunds too: Stripe grants both together
    READ_DISPUTES = "read_disputes"
    PAY = "pay"
    SET_CARD = "set_card"
    PORTAL = "portal"
    OTHER = "other"


KEY_REFUSED, REVOKED, NOT_PERMITTED = "key_refused", "revoked", "not_permitted"

_BY_PATH = tuple(
    (method, re.compile(rf"/v1/{path}"), capability)
    for method, path, capability in (
        ("post", r"invoices/[^/]+/pay$", Capability.PAY),
        ("post", r"(customers|subscriptions)/[^/]+$", Capability.SET_CARD),
        ("post", r"billing_portal/sessions$", Capability.PORTAL),
        ("get", r"(invoices|invoice_payments)(/|$)", Capability.READ_INVOICES),
        ("get", r"subscriptions(/|$)", Capability.READ_SUBSCRIPTIONS),
        ("get", r"(customers|payment_methods)(/|$)", Capability.READ_CUSTOMERS),
        ("get", r"payment_intents(/|$)", Capability.READ_PAYMENTS),
        ("get", r"(charges|refunds)(/|$)", Capability.READ_CHARGES),
        ("get", r"disputes(/|$)", Capability.READ_DISPUTES),
    )
)


def capability_of(method: str, path: str) -> Capability:
    """Which permission a request needs."""
    return next((able for verb, shape, able in _BY_PATH if verb == method and shape.match(path)), Capability.OTHER)


# What a restricted key is seldom allowed to read, and what is only nice to know: each object that is expanded needs a
# permission of its own (Stripe docs, "Permissions reference"), and without it the whole request is refused.
_NICE_TO_KNOW = ("discounts.source.coupon",)


def expected(key: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request as this key can be expected to be allowed them: a restricted one expands less."""
    if not key.startswith("rk_") or "expand" not in params:
        return params
    return params | {"expand": [path for path in params["expand"] if not path.endswith(_NICE_TO_KNOW)]}


def refusal_of(error: StripeCallError, needed: Capability) -> tuple[Capability, str] | None:
    """What Stripe denies and why, as a code to keep; None for an error that says nothing about permissions."""
    if isinstance(error, StripeAuthenticationError):
        return Capability.ACCOUNT, KEY_REFUSED
    if isinstance(error, StripePermissionError):
        return (Capability.ACCOUNT, REVOKED) if error.revoked else (needed, NOT_PERMITTED)
    if isinstance(error, StripePortalError):
        return Capability.PORTAL, error.reason
    return None


def portal_error(error: stripe.InvalidRequestError) -> StripePortalError:
    """Why a Customer Portal session could not be made.

    Stripe gives these no code; what it names is the configuration, or the feature that is off in it.
    """
    said = f"{error.param or ''} {error.user_message or ''}".lower()
    if "payment_method_update" in said:
        reason = StripePortalError.NO_CARD_UPDATE
    elif "configuration" in said or "portal settings" in said:
        reason = StripePortalError.NOT_CONFIGURED
    else:
        reason = StripePortalError.REFUSED
    code = str(error.code or "")
    return StripePortalError(reason=reason, stripe_code=code, request_id=error.request_id or "")


def payment_error(error: stripe.InvalidRequestError) -> StripePaymentRefusedError:
    """A payment that Stripe refuses before any bank is asked. It has a hundred reasons, most without a code."""
    return StripePaymentRefusedError(stripe_code=str(error.code or ""), request_id=error.request_id or "")


def meter_error(error: stripe.InvalidRequestError) -> StripeMeterError:
    """Why a meter event was not taken. The live API gives a known identifier no code, only these words."""
    said, code = (error.user_message or "").lower(), str(error.code or "")
    if "already exists with identifier" in said or code in ("resource_already_exists", "duplicate_meter_event"):
        reason = StripeMeterError.KNOWN
    elif "meter" in code or "no active meter" in said:
        reason = StripeMeterError.NO_METER
    elif error.param == "timestamp" or "timestamp" in code:
        reason = StripeMeterError.TOO_OLD
    else:
        reason = StripeMeterError.REFUSED
    return StripeMeterError(reason=reason, stripe_code=code, request_id=error.request_id or "")
