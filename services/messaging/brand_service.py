"""A merchant's looks and reply address as Settings shows and saves them. Tenant sessions."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.errors import BadRequestError
from services.identity.emails import normalise_email
from services.identity.errors import InvalidEmailError
from services.merchants import service as merchants
from services.messaging.brands import LONGEST, Brand, brand_of, problems_of

FIELDS = ("name", "accent", "logo_url", "signature", "address", "language")


class BrandRefusedError(BadRequestError):
    """`problems` says what is wrong, by field."""

    code, title = "brand_refused", "This cannot be saved"

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {why}" for field, why in problems.items()))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class BrandSettings:
    """The brand as it is used, what of it was set, the reply address, and what Stripe knows of the business."""

    brand: Brand
    stored: dict[str, str]
    reply_to: str
    business_name: str
    currency: str


def get_brand(session: Session, merchant_id: str) -> BrandSettings:
    """Raises `MerchantNotFoundError`."""
    merchant = merchants.get_merchant(session, merchant_id)
    stored = {field: str(merchant.brand.get(field) or "") for field in FIELDS}
    return BrandSettings(
        brand_of(merchant.brand, merchant.name), stored, merchant.reply_to, merchant.name, merchant.default_currency
    )


def save_brand(session: Session, merchant_id: str, form: Mapping[str, str], *, actor_id: str) -> BrandSettings:
    """Keep the brand and the reply address of `form`; an empty field goes back to its default.

    Raises `BrandRefusedError` with everything that is wrong, and then changes nothing.
    """
    given = {field: _clean(str(form.get(field, "")), field) for field in FIELDS}
    problems = problems_of(given)
    reply_to = str(form.get("reply_to", "")).strip()
    if reply_to:
        try:
            reply_to = normalise_email(reply_to)
        except InvalidEmailError:
            problems["reply_to"] = "This is no email address."
    if problems:
        raise BrandRefusedError(problems)
    merchants.change_brand(
        session, merchant_id, {field: value for field, value in given.items() if value}, reply_to, actor_id=actor_id
    )
    return get_brand(session, merchant_id)


def _clean(text: str, field: str) -> str:
    """Without what no database holds; cut far above the limit, so that nothing long is looked at."""
    return text[: 2 * LONGEST.get(field, 80)].replace("\x00", "").encode(errors="ignore").decode().strip()
