"""SQL of what outlives a ghost's person for a while: the links of the last messages."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from core.rows import read

_DELETE_LINKS = text("""
delete from link_tokens where id in (
    select links.id from link_tokens links
    join ghost_targets ghosts on ghosts.merchant_id = links.merchant_id and ghosts.id = links.ghost_id
    where links.merchant_id = :merchant_id and links.created_at < :before and ghosts.purged_at is not null
    order by links.id limit :limit)
returning id
""")


def delete_links(session: Session, merchant_id: str, *, before: datetime, limit: int) -> int:
    """Delete links of ghosts that were emptied of their people, made before a moment; how many, at most `limit`."""
    return len(read(session, _DELETE_LINKS, merchant_id=merchant_id, before=before, limit=limit).all())
