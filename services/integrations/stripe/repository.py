"""SQL of a merchant's credential and of what Stripe refuses to it: on one row, which every client reads anyway."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from core.rows import read

_CREDENTIAL = text("""
select id, stripe_user_id, state, credential_mode, encrypted_token, iv, tag, wrapped_key, key_version, stripe_refusals
from merchants where id = :id
""")

# `since` is when this refusal began: another reason is another refusal.
_NOTE = text("""
update merchants set stripe_refusals = stripe_refusals || jsonb_build_object(cast(:capability as text),
    jsonb_build_object('code', cast(:code as text), 'last', cast(:now as text), 'since', case
        when stripe_refusals -> cast(:capability as text) ->> 'code' = cast(:code as text)
        then stripe_refusals -> cast(:capability as text) ->> 'since' else cast(:now as text) end))
where id = :merchant_id
""")
_FORGET = text("""
update merchants set stripe_refusals = stripe_refusals - cast(:capabilities as text[])
where id = :merchant_id and stripe_refusals ?| cast(:capabilities as text[])
""")


def read_credential(session: Session, merchant_id: str) -> Row[Any] | None:
    """What a client of this merchant is made from."""
    found: Row[Any] | None = read(session, _CREDENTIAL, id=merchant_id).one_or_none()
    return found


def note_refusal(session: Session, merchant_id: str, capability: str, code: str, now: datetime) -> None:
    session.execute(_NOTE, {"merchant_id": merchant_id, "capability": capability, "code": code, "now": now.isoformat()})


def forget_refusals(session: Session, merchant_id: str, capabilities: list[str]) -> None:
    session.execute(_FORGET, {"merchant_id": merchant_id, "capabilities": capabilities})
