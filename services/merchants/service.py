"""A merchant's own settings and its connection's state. Sessions are tenant sessions unless said otherwise."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from core import clock
from models.merchant import CredentialMode, Merchant, MerchantState, Plan, StripeMails
from services.audit import service as audit
from services.merchants import policy_fields, repository
from services.merchants.errors import MerchantNotFoundError
from services.merchants.policies import RecoveryPolicy, parse_policy, stored_policy
from services.merchants.policy_fields import Edit, PolicyMovedError
from services.merchants.schemas import ConnectedAccount, MerchantView
from services.tasks import service as tasks
from services.tasks.schedules import PURGE, USAGE
from services.vault import service as vault


def get_merchant(session: Session, merchant_id: str) -> MerchantView:
    """The merchant as screens show it. Raises `MerchantNotFoundError`, `InvalidPolicyError`."""
    merchant = _read(session, merchant_id)
    return MerchantView(
        id=merchant.id,
        name=merchant.name,
        stripe_user_id=merchant.stripe_user_id,
        livemode=merchant.livemode,
        credential_mode=CredentialMode(merchant.credential_mode),
        state=MerchantState(merchant.state),
        plan=Plan(merchant.plan),
        default_currency=merchant.default_currency,
        country=merchant.country,
        timezone=merchant.timezone,
        reply_to=merchant.reply_to,
        stripe_mails=StripeMails(merchant.stripe_mails),
        brand=merchant.brand,
        policy=stored_policy(merchant.policy),
        created_at=merchant.created_at,
        connected_at=merchant.connected_at,
        disconnected_at=merchant.disconnected_at,
    )


def get_policy(session: Session, merchant_id: str) -> RecoveryPolicy:
    """The merchant's recovery policy, defaults filled in. Raises `MerchantNotFoundError`, `InvalidPolicyError`."""
    return stored_policy(_read(session, merchant_id).policy)


def change_policy(session: Session, merchant_id: str, changes: dict[str, Any], *, actor_id: str) -> RecoveryPolicy:
    """Set the fields in `changes` and keep the rest; only what differs from nothing said is stored.

    The caller re-plans open ghosts (`recovery.service`). Raises `InvalidPolicyError` and then changes nothing.
    """
    merchant = _required(session, merchant_id, lock=True)
    stored = {**merchant.policy, **changes}
    former = parse_policy(merchant.policy)
    if former.paused and not parse_policy(stored).paused:
        stored["going_since"] = clock.now().isoformat()
    policy = parse_policy(stored)
    merchant.policy = policy.model_dump(mode="json", include=set(stored))
    merchant.updated_at = clock.now()
    session.flush()
    if changed := policy_fields.differences(former, policy):
        audit.record_audit(
            session, merchant_id, "merchant.policy_changed", actor_id=actor_id, facts={"changed": changed}
        )
    return policy


def edit_policy(session: Session, merchant_id: str, edits: Sequence[Edit], *, actor_id: str) -> RecoveryPolicy:
    """Change these decisions and no other, as `change_policy` does, if they are still what the person saw.

    Raises `PolicyMovedError` when somebody else has changed one of them meanwhile to something else, and
    `InvalidPolicyError`; then nothing changes.
    """
    policy = parse_policy(_required(session, merchant_id, lock=True).policy)
    if present := policy_fields.moved(policy, edits):
        raise PolicyMovedError(present)
    wanted = {edit.name: edit.wanted for edit in edits}
    return change_policy(session, merchant_id, policy_fields.changes_of(policy, wanted), actor_id=actor_id)


def change_brand(session: Session, merchant_id: str, brand: dict[str, str], reply_to: str, *, actor_id: str) -> None:
    """Keep how the merchant shows itself in messages, and where answers go; `messaging` has checked both."""
    merchant = _required(session, merchant_id, lock=True)
    merchant.brand, merchant.reply_to = brand, reply_to
    merchant.updated_at = clock.now()
    session.flush()
    audit.record_audit(
        session, merchant_id, "merchant.brand_changed", actor_id=actor_id, facts={"fields": sorted(brand)}
    )


def answer_stripe_mails(session: Session, merchant_id: str, answer: StripeMails, *, actor_id: str) -> None:
    """Keep what the merchant says of Stripe's own mails about failed payments: Stripe has no field that tells.

    It changes nothing about what is sent; the health card warns of doubles until the answer is no.
    """
    merchant = _required(session, merchant_id, lock=True)
    if merchant.stripe_mails == answer:
        return
    merchant.stripe_mails, merchant.updated_at = answer, clock.now()
    audit.record_audit(
        session, merchant_id, "merchant.stripe_mails_answered", actor_id=actor_id, facts={"answer": answer.value}
    )


def list_connected(session: Session) -> list[ConnectedAccount]:
    """All accounts that are connected now, the longest first. System login: this is what schedules walk."""
    rows = repository.list_connected(session)
    return [ConnectedAccount(row.stripe_user_id, row.merchant_id, row.livemode) for row in rows]


def find_account(session: Session, stripe_user_id: str) -> ConnectedAccount | None:
    """The merchant of a connected account, or None: unknown or disconnected. System login."""
    row = repository.get_account(session, stripe_user_id)
    if row is None or row.disconnected_at is not None:
        return None
    return ConnectedAccount(row.stripe_user_id, row.merchant_id, row.livemode)


def mark_disconnected(session: Session, merchant_id: str, *, at: datetime, reason: str) -> bool:
    """The account took its permission back (`account.application.deauthorized`, or Stripe says so) at `at`.

    Forgets the credential, which is worth nothing now; history stays. False, and nothing changes, when it is
    disconnected already or was connected again after `at`: events come late and out of order.
    """
    merchant = _required(session, merchant_id, lock=True)
    if merchant.state == MerchantState.DISCONNECTED or merchant.stripe_user_id is None:
        return False
    if merchant.connected_at is not None and merchant.connected_at.replace(microsecond=0) > at:
        return False  # `at` comes in whole seconds
    merchant.state = MerchantState.DISCONNECTED
    merchant.disconnected_at = at
    merchant.updated_at = clock.now()
    vault.erase_merchant_token(merchant)
    session.flush()
    repository.set_account_disconnected(session, merchant.stripe_user_id, at)
    # What was planned is no longer to be promised to anybody; connecting again plans it anew.
    tasks.schedule(session, kind="pulse", merchant_id=merchant_id, payload={"replan": True}, priority=5)
    # Schedules walk connected accounts only; each purge from this one on asks for the next (recovery.purge).
    tasks.schedule_next(session, PURGE, merchant_id)
    if USAGE.is_on:
        tasks.schedule_next(session, USAGE, merchant_id)  # the last day is billed too
    audit.log_event(
        session,
        merchant_id,
        "connection.ended",
        "The Stripe account was disconnected. Nothing is hunted or sent until it is connected again.",
        level="warning",
        facts={"reason": reason},
    )
    audit.record_audit(session, merchant_id, "connection.ended", target=merchant.stripe_user_id)
    return True


def _read(session: Session, merchant_id: str) -> Row[Any]:
    merchant = repository.read_merchant(session, merchant_id)
    if merchant is None:
        raise MerchantNotFoundError
    return merchant


def _required(session: Session, merchant_id: str, *, lock: bool = False) -> Merchant:
    merchant = repository.get_merchant(session, merchant_id, lock=lock)
    if merchant is None:
        raise MerchantNotFoundError
    return merchant
