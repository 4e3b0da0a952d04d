"""What Resend refuses, in its own words (resend.com/docs/api-reference/errors and .../emails/send-email)."""

import re
from typing import Any

from email_validator import EmailNotValidError, validate_email

from sandbox.outbox.store import Json

MOST_RECIPIENTS = 50
MOST_IN_A_BATCH = 100
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_NAMED = re.compile(r"\s*(?:.*?\s)?<([^<>]+)>\s*", re.DOTALL)
_HEADER = re.compile(r"[!-9;-~]+")


class ResendError(Exception):
    """An answer in Resend's shape."""

    def __init__(self, status: int, name: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.name, self.message, self.headers = status, name, message, headers or {}

    def body(self) -> Json:
        return {"statusCode": self.status, "name": self.name, "message": self.message}


def invalid(message: str) -> ResendError:
    """422 validation_error."""
    return ResendError(422, "validation_error", message)


def missing(name: str) -> ResendError:
    """422 missing_required_field."""
    return ResendError(422, "missing_required_field", f"Missing `{name}` field.")


def addresses(given: Json, name: str, *, most: int | None = None) -> list[str]:
    """A field that is one address or a list of them."""
    value = given.get(name)
    if value is None:
        return []
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and is_address(one) for one in listed):
        raise invalid(
            f"Invalid `{name}` field. The email address needs to follow the `email@example.com` or "
            "`Name <email@example.com>` format."
        )
    if most is not None and len(listed) > most:
        raise invalid(f"The `{name}` field must have at most {most} email addresses.")
    return listed


def is_address(value: str) -> bool:
    """`ada@example.com` or `Ada <ada@example.com>`; odd but legal local parts are fine, line breaks are not."""
    if "\n" in value or "\r" in value:
        return False
    named = _NAMED.fullmatch(value)
    try:
        address = (named[1] if named else value).strip()
        validate_email(address, check_deliverability=False, allow_quoted_local=True, test_environment=True)
    except EmailNotValidError:
        return False
    return True


def check_email(given: Any) -> Json:
    """One mail as it was posted, with `to`, `cc`, `bcc` and `reply_to` as lists. Raises `ResendError`."""
    if not isinstance(given, dict):
        raise invalid("The request body must be a JSON object.")
    for name in ("from", "to"):
        if not given.get(name):
            raise missing(name)
    if not isinstance(given["from"], str) or not is_address(given["from"]):
        addresses(given | {"from": [given["from"]]}, "from")
    made = dict(given) | {"to": addresses(given, "to", most=MOST_RECIPIENTS)}
    made |= {name: addresses(given, name, most=MOST_RECIPIENTS) for name in ("cc", "bcc")}
    made["reply_to"] = addresses(given, "reply_to")
    if not isinstance(given.get("subject"), str) or not given["subject"]:
        raise missing("subject")
    if given.get("html") is None and given.get("text") is None:
        raise missing("html` or `text")
    for name in ("html", "text"):
        if given.get(name) is not None and not isinstance(given[name], str):
            raise invalid(f"The `{name}` field must be a string.")
    _check_tags(given.get("tags"))
    _check_headers(given.get("headers"))
    return made


def _check_tags(tags: Any) -> None:
    if tags is None:
        return
    if not isinstance(tags, list) or not all(isinstance(tag, dict) for tag in tags):
        raise invalid("The `tags` field must be an array of objects.")
    for tag in tags:
        for part in ("name", "value"):
            value = tag.get(part)
            if not isinstance(value, str) or not _TAG.fullmatch(value):
                raise invalid("Tags should only contain ASCII letters, numbers, underscores, or dashes.")


def _check_headers(headers: Any) -> None:
    if headers is None:
        return
    fine = isinstance(headers, dict) and all(
        isinstance(value, str) and _HEADER.fullmatch(name) and not re.search(r"[\r\n]", value)
        for name, value in headers.items()
    )
    if not fine:
        raise invalid("The `headers` field must be an object of strings.")
