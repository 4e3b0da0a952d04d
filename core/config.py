"""All settings, read once from the environment; no setting is read anywhere else while PHANTOM runs.

A process that starts with settings it cannot honour stops at once with a clear line (`ConfigurationError`).
"""

import base64
import binascii
import functools
import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core import clock, crash_points
from core.errors import ConfigurationError

ENCRYPTION_KEY_BYTES = 32
HUNT_RATE = 25.0
MAIL_RATE, TEXT_RATE = 5.0, 10.0


class Mode(StrEnum):
    DEMO = "demo"
    LIVE = "live"


def decode_encryption_key(text: str) -> bytes:
    """The 32 bytes of an `ENCRYPTION_KEY`, given as 64 hex digits or base64. Raises `ValueError` otherwise."""
    cleaned = text.strip()
    if len(cleaned) == ENCRYPTION_KEY_BYTES * 2:
        try:
            return bytes.fromhex(cleaned)
        except ValueError:
            raise ValueError("ENCRYPTION_KEY has 64 characters that are not all hex digits") from None
    padded = cleaned + "=" * (-len(cleaned) % 4)
    try:
        key = base64.b64decode(padded, altchars=b"-_" if set(cleaned) & {"-", "_"} else None, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("ENCRYPTION_KEY is neither 64 hex digits nor base64") from None
    if len(key) != ENCRYPTION_KEY_BYTES:
        raise ValueError(f"ENCRYPTION_KEY has {len(key)} bytes, it must have {ENCRYPTION_KEY_BYTES}")
    return key


def _checked_key(value: SecretStr) -> SecretStr:
    decode_encryption_key(value.get_secret_value())
    return value


def _psycopg_url(value: SecretStr) -> SecretStr:
    """Accept the plain form that every provider prints; SQLAlchemy wants the driver named."""
    text = value.get_secret_value()
    for prefix in ("postgres://", "postgresql://"):
        if text.startswith(prefix):
            return SecretStr("postgresql+psycopg://" + text.removeprefix(prefix))
    if not text.startswith("postgresql+psycopg://"):
        raise ValueError("a database URL starts with postgresql://")
    return value


def _without_trailing_slash(value: str) -> str:
    return value.rstrip("/")


def _empty_is_none(value: object) -> object:
    """`.env` files write an unset value as `NAME=`; that is absence, not an empty secret that verifies."""
    return None if value == "" else value


def _level(value: object) -> object:
    return (value.strip().upper() or "INFO") if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_level)]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_of(text: str) -> Address | None:
    """An IP address out of `1.2.3.4`, `1.2.3.4:567`, `2001:db8::1` or `[2001:db8::1]:567`; None for anything else.

    An IPv4 address that came over an IPv6 socket (`::ffff:1.2.3.4`) is the IPv4 address.
    """
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _networks(value: object) -> object:
    """Comma-separated addresses and networks. Raises `ValueError` for one that holds everybody: all could forge."""
    if not isinstance(value, str):
        return value
    found = tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
    if any(network.prefixlen == 0 for network in found):
        raise ValueError("a network of all addresses trusts everybody; name the proxies' own")
    return found


def _empty_is_usual_rate(value: object) -> object:
    return HUNT_RATE if value == "" else value


class CardLimit(NamedTuple):
    """A card network's limit: at most this many declined charges on one card within so many days."""

    network: str
    charges: int
    days: int


CARD_LIMITS = "visa=20/30, mastercard=10/1, mastercard=35/30"


def _card_limits(value: object) -> object:
    """`visa=20/30, mastercard=10/1`. Raises `ValueError` without Visa's, by which unknown networks are judged."""
    if not isinstance(value, str):
        return value
    found = []
    for part in (value.strip() or CARD_LIMITS).split(","):
        network, _, numbers = part.strip().lower().partition("=")
        charges, _, days = numbers.partition("/")
        if not (network.isalpha() and charges.isdecimal() and days.isdecimal() and int(charges) and int(days)):
            raise ValueError("a limit is network=charges/days, such as visa=20/30")
        found.append(CardLimit(network, int(charges), int(days)))
    if not any(limit.network == "visa" for limit in found):
        raise ValueError("visa needs a limit: it holds for networks without one of their own")
    return tuple(found)


def _empty_is_usual_mail_rate(value: object) -> object:
    return MAIL_RATE if value == "" else value


def _empty_is_usual_text_rate(value: object) -> object:
    return TEXT_RATE if value == "" else value


def _several(value: SecretStr | None) -> tuple[str, ...]:
    text = value.get_secret_value() if value else ""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _empty_is_zero(value: object) -> object:
    return 0 if value == "" else value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_psycopg_url)]
BaseUrl = Annotated[str, AfterValidator(_without_trailing_slash)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_empty_is_none)]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_none)]
CardLimits = Annotated[tuple[CardLimit, ...], NoDecode, BeforeValidator(_card_limits)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]


class Settings(BaseSettings):
    """Every name PHANTOM understands; `.env.example` explains them one by one."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    phantom_mode: Mode = Mode.LIVE
    phantom_port: int = 3000
    public_url: BaseUrl = "http://localhost:3000"
    trusted_proxies: Networks = ()
    phantom_clock_file: Annotated[Path | None, BeforeValidator(_empty_is_none)] = None
    phantom_demo_file: Annotated[Path | None, BeforeValidator(_empty_is_none)] = None
    phantom_crash_folder: Annotated[Path | None, BeforeValidator(_empty_is_none)] = None
    phantom_log_level: LogLevel = "INFO"
    phantom_metrics_folder: Annotated[Path | None, BeforeValidator(_empty_is_none)] = None
    metrics_token: OptionalSecret = None
    drain_seconds: Annotated[float, BeforeValidator(_empty_is_zero), Field(ge=0, le=300)] = 0

    database_url: DatabaseUrl
    database_admin_url: Annotated[SecretStr | None, BeforeValidator(_empty_is_none)] = None
    database_system_url: DatabaseUrl
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")

    encryption_key: Annotated[SecretStr, AfterValidator(_checked_key)]
    encryption_keys: dict[int, SecretStr] = Field(default_factory=dict)
    encryption_key_version: int = Field(default=1, ge=1)

    stripe_client_id: OptionalText = None
    stripe_secret_key: OptionalSecret = None
    stripe_webhook_secret: OptionalSecret = None
    stripe_connect_webhook_secret: OptionalSecret = None
    stripe_api_base: BaseUrl = "https://api.stripe.com"
    stripe_hunt_rate: Annotated[float, Field(gt=0), BeforeValidator(_empty_is_usual_rate)] = HUNT_RATE
    usage_meter: OptionalText = None
    stripe_connect_base: BaseUrl = "https://connect.stripe.com"
    card_limits: CardLimits = Field(default=CARD_LIMITS, validate_default=True)

    resend_api_key: OptionalSecret = None
    resend_api_base: BaseUrl = "https://api.resend.com"
    resend_webhook_secret: OptionalSecret = None
    resend_rate: Annotated[float, Field(ge=0), BeforeValidator(_empty_is_usual_mail_rate)] = MAIL_RATE
    email_from: str = "PHANTOM <billing@phantom.example>"

    twilio_account_sid: OptionalText = None
    twilio_auth_token: OptionalSecret = None
    twilio_from: OptionalText = None
    twilio_api_base: BaseUrl = "https://api.twilio.com"
    twilio_rate: Annotated[float, Field(ge=0), BeforeValidator(_empty_is_usual_text_rate)] = TEXT_RATE

    oidc_issuer: OptionalText = None
    oidc_client_id: OptionalText = None
    oidc_client_secret: OptionalSecret = None

    @model_validator(mode="after")
    def _live_mode_is_strict(self) -> Self:
        if self.phantom_mode is Mode.LIVE:
            if self.phantom_clock_file or self.phantom_demo_file or self.phantom_crash_folder:
                raise ValueError(
                    "PHANTOM_CLOCK_FILE, PHANTOM_DEMO_FILE and PHANTOM_CRASH_FOLDER are for demo mode and tests; "
                    "live time is the machine's"
                )
            if urlsplit(self.public_url).hostname not in ("localhost", "127.0.0.1") and not self.public_url.startswith(
                "https://"
            ):
                raise ValueError("PUBLIC_URL must be https:// in live mode (session cookies are Secure)")
        return self

    @property
    def is_demo(self) -> bool:
        return self.phantom_mode is Mode.DEMO

    @property
    def livemode(self) -> bool:
        """Whether the platform's Stripe key is a live one; test-mode events are refused then."""
        key = self.stripe_secret_key.get_secret_value() if self.stripe_secret_key else ""
        return key.startswith(("sk_live_", "rk_live_"))

    @property
    def serves_https(self) -> bool:
        return self.public_url.startswith("https://")

    def webhook_secrets(self, *, connect: bool) -> tuple[str, ...]:
        """The signing secrets of an endpoint; several, comma-separated, while one is being rolled."""
        return _several(self.stripe_connect_webhook_secret if connect else self.stripe_webhook_secret)

    def resend_webhook_secrets(self) -> tuple[str, ...]:
        """The same for what the mail provider tells of its mails."""
        return _several(self.resend_webhook_secret)

    def master_keys(self) -> dict[int, bytes]:
        """Vault master keys by version, the current one included."""
        keys = {version: decode_encryption_key(key.get_secret_value()) for version, key in self.encryption_keys.items()}
        return {**keys, self.encryption_key_version: decode_encryption_key(self.encryption_key.get_secret_value())}


def load(**overrides: object) -> Settings:
    """Read and check the settings. Raises `ConfigurationError` naming every bad variable, never its value."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # BaseSettings fills the rest from the environment
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])).upper() or 'settings'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_context=False, include_url=False)
        )
        raise ConfigurationError(problems) from None


@functools.cache
def settings() -> Settings:
    """The process's settings, read at first use."""
    return load()


def install_test_doubles(configured: Settings) -> None:
    """Follow the shared clock and the crash points of demo and tests; in live mode there are none."""
    if configured.phantom_crash_folder is not None:
        crash_points.arm_from(configured.phantom_crash_folder)
    if configured.phantom_clock_file is not None:
        clock.install(clock.OffsetClock(configured.phantom_clock_file))
