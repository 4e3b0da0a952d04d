"""What a mail provider says of a message, fit to be kept: without addresses, and nothing once its person is forgotten.

Texts of bounces come from the customer's own mail server, which likes to repeat whom it refused.
"""

import re

from core import logging
from models.messaging import Message

_READ, _KEPT = 2000, 500  # characters; the server at the other end decides how many there are


def to_keep(message: Message, said: str) -> str:
    """`said` without addresses and secrets, at most 500 characters; empty for a message whose recipient is gone."""
    if not message.recipient:
        return ""
    # By the very address as well: not every legal one looks like one.
    known = re.compile(re.escape(message.recipient), re.IGNORECASE)
    return logging.redact(known.sub("[email]", said[:_READ]))[:_KEPT]
