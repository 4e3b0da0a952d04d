"""Connecting a Stripe account: from the first click to a merchant whose first hunt is scheduled.

These are boundaries and open their own sessions. The order makes every crash harmless: the state is used up and
committed before Stripe is asked, so a callback counts once; merchant, credential, owner, account row and first hunt
are one commit; the browser's session comes last. Who dies in between connects again and lands in the same place.
"""

import hashlib
from datetime import timedelta

from sqlmodel import Session

from core import clock, ids, queue
from core.config import settings
from core.crash_points import crash_point
from core.db import system_session
from core.errors import ConfigurationError
from core.locks import wait_transaction_lock
from models.identity import OAuthState, SignInMethod
from services.identity import sessions
from services.identity.cookies import is_token
from services.identity.schemas import Principal
from services.integrations.stripe import connect as stripe_connect
from services.integrations.stripe.connect import AccountFacts, Grant
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeClientIdError,
    StripeGrantError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.merchants import repository
from services.merchants.errors import (
    CodeRefusedError,
    ConsentDeniedError,
    NotSetUpError,
    PersonChangedError,
    StateExpiredError,
    StateForeignError,
    StateMissingError,
    StateUsedError,
    StripeDownError,
    StripeRefusedError,
    WrongModeError,
)
from services.merchants.joining import Joining, join
from services.merchants.schemas import Begun, Browser, Callback, Connected

STATE_LIFE = timedelta(minutes=10)
CALLBACK_PATH = "/api/auth/callback"


def begin(principal: Principal | None) -> Begun:
    """Remember a connection under way and say where the browser goes. Raises `NotSetUpError`.

    The state, the browser's token and the PKCE verifier are 256 random bits each; of the first two only hashes are
    kept.
    """
    state, browser_token, verifier = ids.new_secret(32), ids.new_secret(32), ids.new_secret(32)
    try:
        url = stripe_connect.authorize_url(
            state=state,
            redirect_uri=settings().public_url + CALLBACK_PATH,
            code_challenge=stripe_connect.challenge(verifier),
            email=principal.email if principal and principal.email_verified else None,
        )
    except ConfigurationError:
        raise NotSetUpError from None
    now = clock.now()
    with system_session() as platform:
        repository.add_state(
            platform,
            OAuthState(
                state_hash=_hash(state),
                browser_hash=_hash(browser_token),
                user_id=principal.user_id if principal else None,
                merchant_id=principal.merchant_id if principal else None,
                code_verifier=verifier,
                created_at=now,
                expires_at=now + STATE_LIFE,
            ),
        )
    return Begun(url, browser_token)


def finish(callback: Callback, browser: Browser, principal: Principal | None, *, headless: bool = False) -> Connected:
    """Turn what Stripe's redirect carried into a connected merchant and a session for the browser.

    Raises a `ConnectError` that says what happened and what to do; nothing is stored then but the used-up state.
    """
    with system_session() as platform:
        state = _use_state(platform, callback.state, browser.connect_token)
    if state.user_id != (principal.user_id if principal else None):
        raise PersonChangedError
    if callback.error:
        raise ConsentDeniedError if callback.error == "access_denied" else StripeRefusedError
    if not callback.code or len(callback.code) > 512:
        raise StripeRefusedError
    grant, facts = _ask_stripe(callback.code, state.code_verifier)
    crash_point("connect.authorized")
    joining = Joining(grant, facts, principal, headless=headless, flow=state.state_hash[:24])
    with system_session() as platform:
        # One account is connected by one callback at a time; other logins cannot see each other's rows to compare.
        wait_transaction_lock(platform, f"connect:{grant.account}")
        owner = repository.get_account(platform, grant.account)
        joined = join(joining, owner.merchant_id if owner else None)
        opened = sessions.open_session(
            platform,
            joined.user_id,
            joined.merchant_id,
            principal.method if principal else SignInMethod.CONNECT,
            user_agent=browser.user_agent,
            replaces=browser.session_token,
        )
    crash_point("connect.stored")
    queue.announce_work(queue.LONG_TASK_QUEUE)
    queue.announce_change(joined.merchant_id)
    return Connected(joined.merchant_id, opened, joined.is_new)


def _use_state(session: Session, state: str, browser_token: str) -> OAuthState:
    if not state:
        raise StateMissingError
    if not is_token(state) or not is_token(browser_token):
        raise StateForeignError
    now, state_hash, browser_hash = clock.now(), _hash(state), _hash(browser_token)
    used = repository.use_state(session, state_hash, browser_hash, now)
    if used is not None:
        return used
    known = repository.get_state(session, state_hash)
    if known is None or known.browser_hash != browser_hash:
        raise StateForeignError
    raise StateUsedError if known.used_at is not None else StateExpiredError


def _ask_stripe(code: str, verifier: str) -> tuple[Grant, AccountFacts]:
    """The credential and the account behind a code, checked for our mode."""
    try:
        grant = stripe_connect.exchange_code(code, verifier)
        if grant.livemode != settings().livemode:
            raise WrongModeError
        facts = stripe_connect.retrieve_account(grant)
    except StripeGrantError:
        raise CodeRefusedError from None
    except (StripeUnavailableError, StripeRateLimitedError) as error:
        raise StripeDownError from error
    except (StripeClientIdError, ConfigurationError) as error:
        raise NotSetUpError from error
    except (StripeAuthenticationError, StripePermissionError) as error:
        raise StripeRefusedError from error
    if facts.account != grant.account:
        raise StripeRefusedError
    return grant, facts


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
