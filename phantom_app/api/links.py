"""Links in messages: `/r/{token}` to pay, `/u/{token}` to hear no more. The customer's side of PHANTOM.

GET and HEAD only show a page, so a mail scanner's visit counts nothing and creates nothing at Stripe. The page
posts itself as soon as a browser runs it, with a visible button for where scripts are off. No login and no card
field: money is only ever entered on Stripe's own pages.
"""

import logging

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from core import db, queue
from core.config import settings
from core.money import Money, format_money
from models.messaging import LinkPurpose
from phantom_app.api.customer_pages import page
from services.integrations.stripe.client import MerchantNotConnectedError, client_for
from services.integrations.stripe.errors import StripeCallError
from services.integrations.stripe.transport import INTERACTIVE
from services.messaging import links
from services.recovery import clicks, optout

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)


def _not_found() -> HTMLResponse:
    return page(
        title="Link not found",
        heading="This link does not work",
        lines=("It may have been cut off when it was copied. Please open it from the original message.",),
        status=404,
    )


def _closed(view: clicks.Landing) -> HTMLResponse:
    if view.paid:
        return page(
            title="Paid",
            merchant=view.merchant_name,
            heading="This is paid. Thank you.",
            lines=("There is nothing left to do.",),
        )
    return page(
        title="Closed",
        merchant=view.merchant_name,
        heading="This payment is no longer open",
        lines=("There is nothing to pay here any more. You can close this page.",),
        status=410,
    )


def _resolve(token: str, purpose: LinkPurpose) -> links.Link:
    with db.system_session() as session:
        return links.resolve(session, token, purpose)


@router.api_route("/r/{token}", methods=["GET", "HEAD"])
def show(token: str) -> Response:
    """The page behind a payment link; reading it changes nothing."""
    try:
        link = _resolve(token, LinkPurpose.PAY)
        with db.tenant_session(link.merchant_id) as session:
            view = clicks.landing(session, link)
    except links.LinkNotFoundError:
        return _not_found()
    if not view.open:
        return _closed(view)
    return page(
        title=f"Payment to {view.merchant_name}",
        merchant=view.merchant_name,
        heading="Update your card" if view.wants_card else "Complete your payment",
        amount=format_money(Money(view.amount, view.currency)),
        button="Continue to the secure page",
        auto=True,
        soft="You continue on a secure page of Stripe, where you can pay or change your card.",
    )


@router.post("/r/{token}")
def follow(token: str) -> Response:
    """A person's click: recorded, then on to Stripe's own page, made now because such pages live shortly."""
    try:
        link = _resolve(token, LinkPurpose.PAY)
        with db.tenant_session(link.merchant_id) as session:
            stripe = client_for(session, link.merchant_id, patience=INTERACTIVE)
            click = clicks.confirm(session, link)
    except links.LinkNotFoundError:
        return _not_found()
    except (clicks.LinkClosedError, MerchantNotConnectedError):
        with db.tenant_session(link.merchant_id) as session:
            return _closed(clicks.landing(session, link))
    queue.announce_change(link.merchant_id)
    try:
        address = clicks.address_of(stripe, click, f"{settings().public_url}/r/{token}/done")
    except StripeCallError as error:
        log.warning("links.stripe_away", extra={"facts": {"code": error.code}})
        return page(
            title="One moment",
            heading="The payment page is not answering",
            lines=("Please try again in a minute. Your link stays valid.",),
            button="Try again",
            status=503,
        )
    if address is None:
        return RedirectResponse(f"/r/{token}/done", status_code=303)
    return RedirectResponse(address, status_code=303, headers={"Referrer-Policy": "no-referrer"})


@router.get("/r/{token}/done")
def done(token: str) -> Response:
    """Where Stripe's pages lead back to."""
    try:
        link = _resolve(token, LinkPurpose.PAY)
        with db.tenant_session(link.merchant_id) as session:
            view = clicks.landing(session, link)
    except links.LinkNotFoundError:
        return _not_found()
    if not view.open:
        return _closed(view)
    return page(
        title="Thank you",
        merchant=view.merchant_name,
        heading="Thank you",
        lines=(
            "If you added a card, the open payment is made with it right away.",
            "You can close this page.",
        ),
    )


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def ask_unsubscribe(token: str) -> Response:
    """A page with a button; a GET must not unsubscribe (RFC 8058), because scanners follow links."""
    try:
        _resolve(token, LinkPurpose.UNSUBSCRIBE)
    except links.LinkNotFoundError:
        return _not_found()
    return page(
        title="Messages about payments",
        heading="No more messages about payments?",
        lines=("You will not be told any more when a payment fails. Your subscription stays as it is.",),
        button="No more messages",
    )


@router.post("/u/{token}")
def unsubscribe(token: str) -> Response:
    """One click, no login, at once; also what mail programs call by themselves."""
    try:
        link = _resolve(token, LinkPurpose.UNSUBSCRIBE)
    except links.LinkNotFoundError:
        return _not_found()
    with db.tenant_session(link.merchant_id) as session:
        optout.unsubscribe(session, link)
    queue.announce_change(link.merchant_id)
    return page(
        title="Done",
        heading="Done: no more messages about payments",
        lines=("You can close this page.",),
    )
