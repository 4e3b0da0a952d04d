"""Links in messages: `/r/{token}` to pay, `/u/{token}` to hear no more. The customer's side of PHANTOM.

GET and HEAD only show a page, so a mail scanner's visit counts nothing and creates nothing at Stripe. The page
posts itself once a person shows (`customer_pages`), with a visible button for everybody else. No login and no card
field: money is only ever entered on Stripe's own pages.
"""

import logging
import math
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Cookie, Header
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from core import allowance, clock, db, queue
from core.config import settings
from core.errors import ConfigurationError
from core.money import Money, format_money
from models.messaging import ConfirmedBy, LinkPurpose
from phantom_app.api.customer_pages import page
from phantom_app.api.customer_words import language_asked_for, page_words
from phantom_app.api.guessing import Guarded
from services.handshake import returning
from services.integrations.stripe.client import MerchantNotConnectedError, ScopedStripe, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeCallError,
    StripeNotFoundError,
    StripePermissionError,
    StripePortalError,
)
from services.integrations.stripe.transport import INTERACTIVE
from services.messaging import attribution_cookie, links
from services.recovery.messages import clicks, destinations, optout
from services.vault.errors import VaultError

router = APIRouter(include_in_schema=False, route_class=Guarded)
log = logging.getLogger(__name__)

PRESSES_AT_ONCE, PRESSES_A_SECOND = 5, 0.1
LOOKS_AT_ONCE, LOOKS_A_SECOND = 20, 0.1  # whom our page sends for a minute comes about 15 times
LOOK_AGAIN_SECONDS = 4
LOOKS_FOR = timedelta(seconds=60)
# Nothing will change about these within minutes: the customer is better off asking the merchant.
_LASTING = (
    MerchantNotConnectedError,
    StripeAuthenticationError,
    StripePermissionError,
    StripeNotFoundError,
    StripePortalError,
    VaultError,
    ConfigurationError,
)
Languages = Annotated[str | None, Header(alias="accept-language")]
Attribution = Annotated[str | None, Cookie(alias=attribution_cookie.NAME)]


def _not_found(languages: str | None) -> HTMLResponse:
    """The one page for links that are unknown, tampered with, too old, or of another kind."""
    return page(page_words("unknown", language_asked_for(languages)), status=404)


def _about(
    view: clicks.Landing, name: str, *, status: int = 200, auto: bool = False, **more: str | int
) -> HTMLResponse:
    """A page about what stands behind a link, in the customer's language and the merchant's name."""
    sum_of_it = Money(view.amount, view.currency)
    return page(
        page_words(name, view.locale, view.merchant_name, sum_of_it, view.paid_at),
        merchant=view.merchant_name,
        accent=view.accent,
        reply_to=view.reply_to,
        amount=format_money(sum_of_it, view.locale) if view.open and name in ("pay", "card") else "",
        auto=auto,
        status=status,
        **more,  # type: ignore[arg-type]  # `back` and `refresh`
    )


def _closed(view: clicks.Landing) -> HTMLResponse:
    status = 410 if view.standing is clicks.Standing.CLOSED else 200
    return _about(view, view.standing.value, status=status)


def _resolve(token: str, purpose: LinkPurpose) -> links.Link:
    with db.system_session() as session:
        return links.resolve(session, token, purpose)


def _landing(link: links.Link) -> clicks.Landing:
    with db.tenant_session(link.merchant_id) as session:
        return clicks.landing(session, link)


@router.api_route("/r/{token}", methods=["GET", "HEAD"])
def show(token: str, languages: Languages = None) -> Response:
    """The page behind a payment link; reading it changes nothing."""
    try:
        view = _landing(_resolve(token, LinkPurpose.PAY))
    except links.LinkNotFoundError:
        return _not_found(languages)
    if not view.open:
        return _closed(view)
    return _about(view, view.standing.value, auto=True)


@router.post("/r/{token}")
def follow(token: str, by: str = "", languages: Languages = None) -> Response:
    """A person's click: recorded, then on to Stripe's own page, made now because such pages live shortly."""
    confirmed_by = ConfirmedBy.PAGE if by == ConfirmedBy.PAGE else ConfirmedBy.BUTTON
    try:
        link = _resolve(token, LinkPurpose.PAY)
        if (seconds := allowance.wait(_name(token), PRESSES_A_SECOND, PRESSES_AT_ONCE)) > 0:
            return _often(_landing(link), seconds)
        with db.tenant_session(link.merchant_id) as session:
            click = clicks.confirm(session, link, confirmed_by)
    except links.LinkNotFoundError:
        return _not_found(languages)
    except clicks.LinkClosedError:
        return _closed(_landing(link))
    queue.announce_change(link.merchant_id)
    return_url = f"{settings().public_url}/r/{token}/done"
    try:
        address = destinations.address_of(_stripe(link), click, return_url)
    except _LASTING as error:
        log.warning("links.no_page", extra={"facts": {"code": error.code}})
        return _about(_landing(link), "elsewhere", status=503)
    except StripeCallError as error:
        log.warning("links.stripe_away", extra={"facts": {"code": error.code}})
        return _about(_landing(link), "away", status=503)
    if address == "":
        return _about(_landing(link), "elsewhere", status=503)
    answer = RedirectResponse(address or return_url, 303, headers={"Referrer-Policy": "no-referrer"})
    _remember(answer, token)
    return answer


def _name(token: str) -> str:
    return f"link:{links.identity_of(token, LinkPurpose.PAY)}"


def _often(view: clicks.Landing, seconds: float) -> HTMLResponse:
    """Somebody presses again and again; each press asks Stripe and is a page made there."""
    if not view.open:
        return _closed(view)
    answer = _about(view, "often", status=429)
    answer.headers["Retry-After"] = str(math.ceil(seconds))
    return answer


def _stripe(link: links.Link) -> ScopedStripe:
    with db.tenant_session(link.merchant_id) as session:
        return client_for(session, link.merchant_id, patience=INTERACTIVE)


def _remember(answer: Response, token: str) -> None:
    """The cookie of a confirmed click, for this link's pages alone."""
    answer.set_cookie(
        attribution_cookie.NAME,
        attribution_cookie.made(token, clock.now()),
        max_age=int(attribution_cookie.LIFETIME.total_seconds()),
        path=f"/r/{token}",
        secure=settings().serves_https,
        httponly=True,
        samesite="lax",
    )


@router.api_route("/r/{token}/done", methods=["GET", "HEAD"])
def done(token: str, languages: Languages = None, cookie: Attribution = None) -> Response:
    """Where Stripe's pages lead back to. Whoever comes with our cookie is the customer who clicked: their return is
    kept and Stripe is asked whether it is paid. Everybody else sees what is known, and changes nothing; so does who
    comes again and again, because what each look asks for is the merchant's share of Stripe's attention.
    """
    try:
        link = _resolve(token, LinkPurpose.PAY)
        view = _landing(link)
    except links.LinkNotFoundError:
        return _not_found(languages)
    if not view.open:
        return _closed(view)
    now = clock.now()
    if attribution_cookie.clicked_at(cookie, token, now) is None:
        return _about(view, "thanks")
    may_ask = allowance.wait(f"looks:{_name(token)}", LOOKS_A_SECOND, LOOKS_AT_ONCE) == 0
    looked = returning.look(link, now) if may_ask else returning.remembered(link, now)
    view = _landing(link)
    if not view.open:
        return _closed(view)
    is_charged = looked.invoice_id is not None
    if is_charged and now - looked.first_at <= LOOKS_FOR:
        return _about(view, "waiting", refresh=LOOK_AGAIN_SECONDS)
    return _about(view, "not_yet" if is_charged else "thanks", back=f"/r/{token}")


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def ask_unsubscribe(token: str, languages: Languages = None) -> Response:
    """A page with a button; a GET must not unsubscribe (RFC 8058), because scanners follow links."""
    try:
        view = _landing(_resolve(token, LinkPurpose.UNSUBSCRIBE))
    except links.LinkNotFoundError:
        return _not_found(languages)
    return _about(view, "unsubscribe")


@router.post("/u/{token}")
def unsubscribe(token: str, languages: Languages = None) -> Response:
    """One click, no login, at once; also what mail programs call by themselves."""
    try:
        link = _resolve(token, LinkPurpose.UNSUBSCRIBE)
    except links.LinkNotFoundError:
        return _not_found(languages)
    with db.tenant_session(link.merchant_id) as session:
        is_new = optout.unsubscribe(session, link)
    if is_new:
        queue.announce_change(link.merchant_id)
    return _about(_landing(link), "unsubscribed")
