"""The demo's merchant comes to PHANTOM as every merchant does: Connect with consent, a password, messages on."""

import secrets
from dataclasses import asdict, dataclass, field
from urllib.parse import parse_qs, urlsplit

from core import db
from core.config import settings
from models.merchant import StripeMails
from sandbox.history.engine import EVENTS
from sandbox.population.business import EMAIL, Business
from services.identity import people
from services.merchants import connect
from services.merchants import service as merchants
from services.merchants.schemas import Browser, Callback
from services.recovery import service as recovery


@dataclass(frozen=True)
class DemoMerchant:
    """What the demo file says."""

    merchant_id: str
    email: str
    password: str = field(repr=False)
    account_id: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def listen(business: Business, public_url: str) -> None:
    """The platform's Connect endpoint, with the secret the product knows."""
    business.actions.create_webhook_endpoint(
        business.world.settings.platform_account,
        f"{public_url}/api/webhooks/stripe/connect",
        list(EVENTS),
        connect=True,
        secret=settings().webhook_secrets(connect=True)[0],
    )


def join_phantom(business: Business) -> tuple[DemoMerchant, str]:
    """Consent at Stripe's page, the callback, a password for the owner. The merchant and the owner's id."""
    begun = connect.begin(None)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.url).query).items()}
    code = business.actions.create_authorization_code(
        business.account,
        scope=asked["scope"],
        redirect_uri=asked["redirect_uri"],
        code_challenge=asked["code_challenge"],
        code_challenge_method=asked["code_challenge_method"],
    )
    connected = connect.finish(Callback(asked["state"], code), Browser(begun.browser_token), None)
    password = secrets.token_urlsafe(12)
    with db.tenant_session(connected.merchant_id) as session:
        owner = people.provision_owner(session, connected.merchant_id, email=EMAIL, password=password, verified=True)
    return DemoMerchant(connected.merchant_id, EMAIL, password, business.account), owner


def start_messages(merchant: DemoMerchant, owner: str) -> None:
    """The welcome page's last question and last button. This sandbox's Stripe writes to nobody by itself."""
    with db.tenant_session(merchant.merchant_id) as session:
        merchants.answer_stripe_mails(session, merchant.merchant_id, StripeMails.NO, actor_id=owner)
        recovery.start_messages(session, merchant.merchant_id, owner)
