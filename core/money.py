"""Money as integers in minor units with an ISO 4217 currency, and its display through Babel.

Exponents follow Stripe's lists (docs "Currencies": zero-decimal and three-decimal currencies), which differ
from ISO in a few places: Stripe bills ISK and UGX with two decimals, the last two of them always zero.
"""

import copy
import re
from dataclasses import dataclass
from decimal import Decimal

from babel.core import Locale

from core.errors import BadRequestError

ZERO_DECIMAL = frozenset(
    {
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
    }
)  # fmt: skip
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[A-Za-z])(?=[-\d])")
_TYPED = re.compile(r"(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<part>\d+))?", re.ASCII)
_MOST = 10**12


class InvalidMoneyError(BadRequestError):
    code, title = "invalid_money", "The amount or currency is not valid"


def exponent(currency: str) -> int:
    """How many decimals a currency's minor unit has at Stripe: 0, 2 or 3."""
    code = currency.lower()
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units and a lower-case ISO 4217 code. Never added across currencies."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int):
            raise InvalidMoneyError(f"an amount is an integer in minor units, not {self.amount!r}")
        if len(self.currency) != 3 or not self.currency.isalpha() or not self.currency.islower():
            raise InvalidMoneyError(f"not a lower-case ISO 4217 code: {self.currency!r}")

    def __add__(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise InvalidMoneyError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.amount + other.amount, self.currency)

    @property
    def major(self) -> Decimal:
        """The amount in the unit people speak of (dollars, yen, dinar)."""
        return Decimal(self.amount).scaleb(-exponent(self.currency))


def format_money(money: Money, locale: str = "en_US") -> str:
    """What a person reads, e.g. `$1,234.50`, `¥1,200`, `KWD 3.250`, in a locale's own way.

    Babel knows ISO's digits, not Stripe's, so the pattern of the locale gets the digits from `exponent`.
    """
    places = exponent(money.currency)
    pattern = copy.copy(Locale.parse(locale).currency_formats["standard"])
    pattern.frac_prec = (places, places)
    text = str(pattern.apply(money.major, locale, currency=money.currency.upper(), currency_digits=False))
    # CLDR puts a space between letters and digits (`KWD 3.250`); Babel leaves that out.
    return _LETTER_BEFORE_DIGIT.sub("\u00a0", text)


def plain_major(money: Money) -> str:
    """The amount as it is typed, with all its decimals and nothing else: `1234.50`, `1200`, `3.250`."""
    return f"{money.major:f}"


def parse_major(text: str, currency: str) -> Money:
    """An amount as a person types it, in the unit people speak of: `1234.50`, `1,234.50`. Nothing is rounded.

    A point begins the decimals, commas group thousands. What could be read in two ways is refused: more decimals than
    the currency has, and in one of three decimals a comma without a point. Raises `InvalidMoneyError` with a sentence
    for whoever typed it.
    """
    places, found = exponent(currency), _TYPED.fullmatch(text.strip())
    if found is None or (places == 3 and "," in text and not found["part"]):
        raise InvalidMoneyError(f"Write the amount like {'1234.500'[: 5 + places] if places else '1234'}.")
    part = found["part"] or ""
    if len(part) > places:
        raise InvalidMoneyError(f"{currency.upper()} has {places or 'no'} decimals.")
    amount = int(found["whole"].replace(",", "") + part.ljust(places, "0"))
    if amount > _MOST:
        raise InvalidMoneyError("This is more than PHANTOM can count.")
    return Money(amount, currency)
