"""What goes in and out of a merchant's use cases."""

from dataclasses import dataclass, field
from datetime import datetime

from models.merchant import CredentialMode, MerchantState, Plan, StripeMails
from services.identity.schemas import NewSession
from services.merchants.policies import RecoveryPolicy


@dataclass(frozen=True, slots=True)
class MerchantView:
    """A merchant as the screens show it; no credential."""

    id: str
    name: str
    stripe_user_id: str | None
    livemode: bool
    credential_mode: CredentialMode
    state: MerchantState
    plan: Plan
    default_currency: str
    country: str
    timezone: str
    reply_to: str
    stripe_mails: StripeMails
    brand: dict[str, object]
    policy: RecoveryPolicy
    created_at: datetime
    connected_at: datetime | None
    disconnected_at: datetime | None

    @property
    def is_connected(self) -> bool:
        return self.stripe_user_id is not None and self.state == MerchantState.ACTIVE


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    """One account whose webhooks and scans we serve."""

    stripe_user_id: str
    merchant_id: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser, and the secret to leave in its cookie."""

    url: str
    browser_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Callback:
    """What Stripe's redirect carried, as it came: none of it is trusted."""

    state: str = field(repr=False, default="")
    code: str = field(repr=False, default="")
    error: str = ""


@dataclass(frozen=True, slots=True)
class Browser:
    """What the browser itself brought to the callback."""

    connect_token: str = field(repr=False, default="")
    session_token: str = field(repr=False, default="")
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection made. `session` is the browser's new session."""

    merchant_id: str
    session: NewSession
    is_new: bool
