"""SQL of what Stripe refuses to a merchant's credential; on the merchant's own row, which every client reads anyway."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

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


def note_refusal(session: Session, merchant_id: str, capability: str, code: str, now: datetime) -> None:
    session.execute(_NOTE, {"merchant_id": merchant_id, "capability": capability, "code": code, "now": now.isoformat()})


def forget_refusals(session: Session, merchant_id: str, capabilities: list[str]) -> None:
    session.execute(_FORGET, {"merchant_id": merchant_id, "capabilities": capabilities})
