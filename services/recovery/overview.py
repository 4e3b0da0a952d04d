"""Everything that the dashboard's page asks for, in one place: so what is measured is what a page costs."""

from dataclasses import dataclass

from sqlmodel import Session

from core import clock
from services.analytics import service as analytics
from services.analytics.schemas import Dashboard, MadeSafe, Merit
from services.recovery import presence
from services.recovery.presence import Active


@dataclass(frozen=True, slots=True)
class Overview:
    """One currency's figures of one period, taken apart by mechanism, and who uses the product without having paid."""

    figures: Dashboard
    came_by: tuple[Merit, ...]
    made_safe: MadeSafe
    active: Active


def overview(session: Session, merchant_id: str, *, days: int = 30, currency: str | None = None) -> Overview:
    """What a dashboard shows of the days until today (UTC); `days` and `currency` as `analytics.dashboard` says.

    Raises `NotFoundError` for an unknown merchant, `BadRequestError` for another period.
    """
    figures = analytics.dashboard(session, merchant_id, days=days, currency=currency)
    came_by, made_safe = analytics.by_mechanism(session, merchant_id, figures.currency, figures.since, figures.until)
    active = presence.active(session, merchant_id, figures.currency, clock.now())
    return Overview(figures, came_by, made_safe, active)
