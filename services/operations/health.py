"""The health card of one merchant: its facts, read once, and what they say.

facts = merchant_facts(tenant_session, merchant_id)
card = judge(with_intake(facts, system_session))
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from core.config import settings
from models.health import IntakeOutcome
from models.merchant import CredentialMode, Merchant, MerchantState, StripeMails
from models.messaging import Channel, MessageState
from models.sending import MerchantSender, SenderState
from models.work import HuntState
from services.audit import unreadable
from services.handshake import outcomes
from services.integrations.stripe.access import Capability
from services.merchants.errors import MerchantNotFoundError
from services.merchants.policies import parse_policy
from services.messaging.senders import refusals
from services.messaging.senders import service as senders
from services.operations import health_repository as repository
from services.operations.health_facts import (
    AccountFacts,
    HealthFacts,
    HuntFacts,
    MailOutcomes,
    Refusal,
    RefusedDeliveries,
    SenderFacts,
)
from services.operations.health_findings import findings
from services.operations.health_flow import ESSENTIAL
from services.operations.health_schemas import Finding

HUNTS_LOOKED_AT = 20
MAILS_LOOKED_AT, MAILS_SINCE = 1000, timedelta(days=30)


@dataclass(frozen=True, slots=True)
class HealthCard:
    """What is wrong, the worst first, and when each essential type of webhook was last seen (None: never)."""

    findings: tuple[Finding, ...]
    seen: Mapping[str, datetime | None]
    livemode: bool
    connected: bool


def judge(facts: HealthFacts) -> HealthCard:
    """What facts say."""
    return HealthCard(
        findings=findings(facts),
        seen={kind: facts.seen.get(kind) for kind in ESSENTIAL},
        livemode=facts.account.livemode,
        connected=facts.account.connected,
    )


def merchant_facts(session: Session, merchant_id: str) -> HealthFacts:
    """What the merchant's own tables say. Tenant session. Raises `MerchantNotFoundError`, `InvalidPolicyError`."""
    merchant = repository.get_merchant(session, merchant_id)
    if merchant is None:
        raise MerchantNotFoundError
    now = clock.now()
    states = repository.mail_outcomes(session, merchant_id, now - MAILS_SINCE, MAILS_LOOKED_AT)
    return HealthFacts(
        now=now,
        account=_account(merchant),
        refusals=tuple(
            Refusal(Capability(name), str(entry["code"]), datetime.fromisoformat(str(entry["since"])))
            for name, entry in sorted(merchant.stripe_refusals.items())
        ),
        unreadable=unreadable.list_kinds(session, merchant_id),
        hunts=tuple(
            HuntFacts(
                HuntState(hunt.state), hunt.trigger, hunt.found, hunt.started_at, hunt.finished_at, hunt.seconds,
                hunt.error,
            )
            for hunt in repository.list_hunts(session, merchant_id, HUNTS_LOOKED_AT)
        ),
        seen={row.type: row.last_at for row in repository.list_seen(session, merchant_id)},
        senders=_senders(
            merchant_id, {Channel(row.channel): row for row in repository.list_senders(session, merchant_id)}
        ),
        mails=MailOutcomes(
            sum(states.values()), states.get(MessageState.BOUNCED, 0), states.get(MessageState.COMPLAINED, 0)
        ),
    )  # fmt: skip


def with_intake(facts: HealthFacts, platform: Session) -> HealthFacts:
    """The same with what became of deliveries to the endpoint of merchants' events. System session."""
    kept = repository.intake_outcomes(platform, outcomes.CONNECT)
    return replace(
        facts,
        bad_signatures=_refused(kept.get(outcomes.BAD_SIGNATURE)),
        wrong_mode=_refused(kept.get(outcomes.WRONG_MODE)),
    )


def _account(merchant: Merchant) -> AccountFacts:
    policy = parse_policy(merchant.policy)
    return AccountFacts(
        connected_at=merchant.connected_at,
        connected=merchant.stripe_user_id is not None and merchant.state == MerchantState.ACTIVE,
        livemode=merchant.livemode,
        scope=merchant.oauth_scope,
        mode=CredentialMode(merchant.credential_mode),
        stripe_mails=StripeMails(merchant.stripe_mails),
        messages_on=not policy.paused,
        texts_on=policy.sms,
    )


def _senders(merchant_id: str, rows: Mapping[Channel, MerchantSender]) -> dict[Channel, SenderFacts]:
    """The merchant's own; the platform's where it has none."""
    found = {
        channel: SenderFacts(
            own=True,
            paused=row.state == SenderState.PAUSED,
            paused_reason=row.paused_reason,
            quota=refusals.quota_of(row.key_print),
            unfit=refusals.unfit_of(row.key_print, row.merchant_id),
            hears_back=row.has_webhook_secret,
        )
        for channel, row in rows.items()
    }
    others = [channel for channel in Channel if channel not in found]
    return found | {channel: seen for channel in others if (seen := _platforms(merchant_id, channel))}


def _platforms(merchant_id: str, channel: Channel) -> SenderFacts | None:
    """The platform's sender; Twilio signs what it tells with the key itself."""
    carrier = senders.platform_sender(channel)
    if carrier is None:
        return None
    refused = refusals.reason_of(carrier.key_print)
    hears = channel is Channel.SMS or bool(settings().resend_webhook_secrets())
    return SenderFacts(
        own=False,
        paused=bool(refused),
        paused_reason=refused,
        quota=refusals.quota_of(carrier.key_print),
        unfit=refusals.unfit_of(carrier.key_print, merchant_id),
        hears_back=hears,
    )


def _refused(row: IntakeOutcome | None) -> RefusedDeliveries | None:
    return RefusedDeliveries(row.number, row.first_at, row.last_at) if row else None
