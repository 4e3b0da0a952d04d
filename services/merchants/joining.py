"""Whose merchant a connected account becomes, and the one commit that makes it so.

Connect proves that somebody may act for a Stripe *account*; it proves nothing about a person or an email address.
So an account never opens a person's other merchants, never takes over a person who exists, and never leaves the
merchant it belongs to.
"""

import zoneinfo
from dataclasses import dataclass

from sqlmodel import Session

from core import clock, ids
from core.db import tenant_session
from models.merchant import CredentialMode, Merchant, MerchantState
from services.audit import service as audit
from services.identity import people
from services.identity import repository as identity_repository
from services.identity.emails import normalise_email
from services.identity.errors import EmailTakenError, InvalidEmailError
from services.identity.permissions import ROLE_PERMISSIONS, Permission
from services.identity.schemas import Principal
from services.integrations.stripe.connect import AccountFacts, Grant
from services.merchants import repository
from services.merchants.errors import AccountTakenError, MerchantNotFoundError, SignInFirstError
from services.tasks import service as tasks
from services.vault import service as vault

# Without what was billed, leakage has nothing to be a share of until 30 days of webhooks have come in.
FIRST_HUNT = {"trigger": "connect", "backfill_billing": True}


@dataclass(frozen=True, slots=True)
class Joining:
    """Everything known when Stripe has answered. `flow` names this one connection."""

    grant: Grant
    facts: AccountFacts
    principal: Principal | None
    headless: bool
    flow: str


@dataclass(frozen=True, slots=True)
class Joined:
    merchant_id: str
    user_id: str
    is_new: bool


def join(joining: Joining, belongs_to: str | None) -> Joined:
    """Put the account into its merchant, in one transaction of that merchant.

    `belongs_to` is the merchant the account is or was connected to; the caller holds the account's lock. Raises
    `AccountTakenError`, `SignInFirstError`.
    """
    principal = joining.principal
    if belongs_to is not None:
        with tenant_session(belongs_to) as tenant:
            user_id = _entitled(tenant, belongs_to, principal)
            _attach(tenant, _required(tenant, belongs_to), joining, user_id)
        return Joined(belongs_to, user_id, is_new=False)
    if principal is not None and principal.may(Permission.CONNECTION_MANAGE):
        with tenant_session(principal.merchant_id) as tenant:
            merchant = repository.get_merchant(tenant, principal.merchant_id, lock=True)
            if merchant is not None and merchant.stripe_user_id is None:
                _attach(tenant, merchant, joining, principal.user_id)
                return Joined(merchant.id, principal.user_id, is_new=True)
    merchant_id = ids.new_id("mer")
    with tenant_session(merchant_id) as tenant:
        user_id = principal.user_id if principal else _new_person(tenant, joining)
        name = joining.facts.name or (joining.facts.email or joining.grant.account).partition("@")[2]
        merchant = people.provision_merchant(tenant, merchant_id, user_id, name or joining.grant.account)
        _attach(tenant, merchant, joining, user_id)
    return Joined(merchant_id, user_id, is_new=True)


def _entitled(tenant: Session, merchant_id: str, principal: Principal | None) -> str:
    """Who goes on with an account that has a merchant: a member who may, or, signed out, its owner alone."""
    if principal is None:
        owner_id = identity_repository.get_owner_id(tenant, merchant_id)
        if owner_id is None:
            raise AccountTakenError
        return owner_id
    role = identity_repository.get_role(tenant, merchant_id, principal.user_id)
    if role is None or Permission.CONNECTION_MANAGE not in ROLE_PERMISSIONS[role]:
        raise AccountTakenError
    return principal.user_id


def _new_person(tenant: Session, joining: Joining) -> str:
    """The person behind a new account, unverified, with the account's email if nobody has it.

    A headless PHANTOM has no page to sign in at, and one operator may have many accounts with one email: there, and
    for an account without a usable email, the person gets a name that no one can sign in with.
    """
    nobody = f"{joining.grant.account.lower()}@connect.invalid"  # RFC 2606: never a real address
    try:
        email = normalise_email(joining.facts.email or "")
    except InvalidEmailError:
        return people.create_nameless_person(tenant, nobody)
    try:
        return people.create_person(tenant, email=email, name=joining.facts.name)
    except EmailTakenError:
        if not joining.headless:
            raise SignInFirstError from None
        return people.create_nameless_person(tenant, nobody)


def _attach(tenant: Session, merchant: Merchant, joining: Joining, user_id: str) -> None:
    """Credential, account row, first hunt and the trace of it."""
    now, grant, facts = clock.now(), joining.grant, joining.facts
    again = merchant.stripe_user_id is not None
    vault.seal_merchant_token(merchant, grant.access_token, grant.refresh_token)
    merchant.stripe_user_id, merchant.livemode = grant.account, grant.livemode
    merchant.credential_mode, merchant.oauth_scope = CredentialMode.OAUTH, grant.scope[:40]
    merchant.state, merchant.connected_at, merchant.disconnected_at = MerchantState.ACTIVE, now, None
    merchant.stripe_refusals = {}  # they were another credential's
    merchant.name = people.clean_name(merchant.name or facts.name or grant.account)
    merchant.default_currency = facts.default_currency if len(facts.default_currency) == 3 else "usd"
    merchant.country = facts.country if len(facts.country) == 2 else ""
    merchant.timezone = _known_timezone(facts.timezone)
    merchant.business_category = facts.business_category[:8]
    merchant.reply_to = merchant.reply_to or _reply_to(facts)
    merchant.updated_at = now
    tenant.flush()
    repository.put_account(tenant, grant.account, merchant.id, livemode=grant.livemode, now=now)
    tasks.schedule(
        tenant,
        kind="hunt",
        key=f"hunt:connect:{joining.flow}",
        merchant_id=merchant.id,
        payload=FIRST_HUNT,
    )
    if again:  # what was known before waits for nothing any more
        tasks.schedule(tenant, kind="pulse", merchant_id=merchant.id, payload={"replan": True}, priority=5)
    audit.log_event(
        tenant,
        merchant.id,
        "connection.made",
        "A Stripe account was connected. The first hunt begins.",
        facts={"account": grant.account, "livemode": grant.livemode},
    )
    audit.record_audit(tenant, merchant.id, "connection.made", actor_id=user_id, target=grant.account)


def _known_timezone(name: str) -> str:
    """A zone Python knows; Stripe spells a few of its own."""
    return name if name in zoneinfo.available_timezones() else "UTC"


def _reply_to(facts: AccountFacts) -> str:
    try:
        return normalise_email(facts.email or "")
    except InvalidEmailError:
        return ""


def _required(tenant: Session, merchant_id: str) -> Merchant:
    merchant = repository.get_merchant(tenant, merchant_id, lock=True)
    if merchant is None:
        raise MerchantNotFoundError
    return merchant
