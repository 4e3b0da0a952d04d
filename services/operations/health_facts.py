"""What the health card is told from: plain values, read by `health_repository`, judged by `health_findings`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.merchant import CredentialMode, StripeMails
from models.messaging import Channel
from services.audit.unreadable import UnreadableKind
from services.integrations.stripe.access import Capability


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The connection, and what the merchant said and decided. `scope` is OAuth's, empty in the other modes."""

    connected_at: datetime | None
    connected: bool = True
    livemode: bool = True
    scope: str = "read_write"
    mode: CredentialMode = CredentialMode.OAUTH
    stripe_mails: StripeMails = StripeMails.NO
    messages_on: bool = True
    texts_on: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something Stripe does not let us do; `code` says why, as `services.integrations.stripe.access` has it."""

    capability: Capability
    code: str
    since: datetime


@dataclass(frozen=True, slots=True)
class HuntFacts:
    """`found` counts ghosts that nothing had told of before. `finished_at` is None while it runs."""

    state: str
    trigger: str
    found: int
    started_at: datetime
    finished_at: datetime | None
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class RefusedDeliveries:
    """Deliveries to the endpoint of merchants' events that were refused, since the last genuine one."""

    number: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """Who carries messages of a channel. `hears_back`: bounces and complaints are told to us and believed."""

    own: bool = True
    paused_reason: str = ""
    paused: bool = False
    quota: str = ""
    """What the provider says of an allowance that is used up; empty where it takes messages."""
    unfit: str = ""
    """What the provider says of this merchant's messages that it does not take as they are; empty where it does."""
    hears_back: bool = True


@dataclass(frozen=True, slots=True)
class MailOutcomes:
    """What became of the latest mails that went out: at most 1,000, none older than 30 days."""

    went_out: int = 0
    bounced: int = 0
    complained: int = 0


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """Everything that is looked at for one merchant. `seen`: when each type of event was last received."""

    now: datetime
    account: AccountFacts
    refusals: tuple[Refusal, ...] = ()
    unreadable: tuple[UnreadableKind, ...] = ()
    hunts: tuple[HuntFacts, ...] = ()  # newest first
    seen: Mapping[str, datetime] = field(default_factory=dict)
    bad_signatures: RefusedDeliveries | None = None
    wrong_mode: RefusedDeliveries | None = None
    senders: Mapping[Channel, SenderFacts] = field(default_factory=dict)
    mails: MailOutcomes = field(default_factory=MailOutcomes)
