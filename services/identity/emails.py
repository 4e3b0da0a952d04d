"""One form for each email address."""

from email_validator import EmailNotValidError, validate_email

from services.identity.errors import InvalidEmailError

LONGEST_EMAIL = 254  # RFC 5321, section 4.5.3.1.3


def normalise_email(text: str) -> str:
    """`text` as we keep and compare it: trimmed, NFC, lower-case, international domains in Unicode.

    Deliverability is not asked: that needs DNS, and an address proves itself by its confirmation. Raises
    `InvalidEmailError`.
    """
    cleaned = text.strip()
    if not 3 <= len(cleaned) <= LONGEST_EMAIL:
        raise InvalidEmailError
    try:
        found = validate_email(cleaned, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise InvalidEmailError from None
    return found.normalized.lower()
