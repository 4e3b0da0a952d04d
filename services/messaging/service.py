"""What the screens ask about messages."""

from sqlmodel import Session

from models.messaging import Message
from services.messaging import repository
from services.messaging.schemas import MessageView


def outbox(session: Session, merchant_id: str, limit: int = 50) -> tuple[MessageView, ...]:
    """The latest messages of a merchant, newest first, each as it was rendered."""
    return tuple(message_view(row) for row in repository.list_recent(session, merchant_id, limit))


def messages_of_ghost(session: Session, merchant_id: str, ghost_id: str) -> tuple[MessageView, ...]:
    """All messages of one ghost in their order."""
    return tuple(message_view(row) for row in repository.list_of_ghost(session, merchant_id, ghost_id))


def message_view(row: Message) -> MessageView:
    """A message as the screens get it."""
    return MessageView(
        id=row.id,
        ghost_id=row.ghost_id,
        step=row.step,
        channel=row.channel,
        state=row.state,
        reason=row.reason,
        template=row.template,
        recipient=row.recipient or "",
        subject=row.subject,
        html=row.html,
        plain=row.plain,
        due_at=row.due_at,
        sent_at=row.sent_at,
    )
