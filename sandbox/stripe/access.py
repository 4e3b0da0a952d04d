"""Who is calling, for which account, and whether the key allows it."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.stripe import accounts
from sandbox.stripe.errors import StripeError
from sandbox.stripe.store import Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


@dataclass(frozen=True)
class Caller:
    """The key that was presented."""

    key: str
    account: str
    live: bool
    permissions: dict[str, str] | None  # None: everything


def authenticate(world: "World", headers: Mapping[str, str]) -> Caller:
    """Bearer or Basic; 401 in Stripe's words."""
    key = _key(headers.get("authorization", ""))
    if not key:
        raise StripeError(
            401,
            "invalid_request_error",
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication"
            " for details, or we can help at https://support.stripe.com/.",
            headers={"www-authenticate": 'Bearer realm="Stripe"'},
        )
    row = world.root.get("_key", key)
    if row is None:
        raise StripeError(401, "invalid_request_error", f"Invalid API Key provided: {masked(key)}")
    return Caller(key, row["account"], row["live"], row["permissions"])


def presented(headers: Mapping[str, str]) -> str:
    """The key a request carries, empty when there is none."""
    return _key(headers.get("authorization", ""))


def _key(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def masked(key: str) -> str:
    """As Stripe prints keys in errors."""
    return f"{key[:8]}{'*' * max(4, len(key) - 12)}{key[-4:]}"


def acting_space(world: "World", caller: Caller, headers: Mapping[str, str]) -> Space:
    """The space the request acts in: the caller's own, or the one `Stripe-Account` names, if authorised."""
    wanted = headers.get("stripe-account")
    if not wanted or wanted == caller.account:
        return world.space(caller.account, live=caller.live)
    platform = caller.account == world.settings.platform_account
    known = wanted in world.root.table("account").objects
    if not platform or not known or not accounts.connection(world, wanted, live=caller.live):
        raise StripeError(
            403,
            "invalid_request_error",
            f"The provided key '{masked(caller.key)}' does not have access to account '{wanted}' (or that account "
            "does not exist). Application access may have been revoked.",
            code="account_invalid",
        )
    return world.space(wanted, live=caller.live)


def check_expansions(caller: Caller, paths: object) -> None:
    """A restricted key needs a permission for what it expands, too; coupons alone are looked at."""
    wanted = [path for path in paths if str(path).endswith("coupon")] if isinstance(paths, list) else []
    if wanted:
        check_permission(caller, "GET", "/v1/coupons")


def check_permission(caller: Caller, method: str, path: str) -> None:
    """A restricted key may do what its permissions name, nothing else."""
    if caller.permissions is None:
        return
    parts = path.strip("/").split("/")
    resource = "/".join(parts[1:3]) if parts[1] in ("billing_portal", "billing") else parts[1]
    granted = caller.permissions.get(resource) or caller.permissions.get("*")
    if granted == "write" or (granted == "read" and method == "GET"):
        return
    needed = "read" if method == "GET" else "write"
    raise StripeError(
        403,
        "invalid_request_error",
        f"The provided key '{masked(caller.key)}' does not have the required permissions for this endpoint on account "
        f"'{caller.account}'. Having the 'rak_{resource.rstrip('s').replace('/', '_')}_{needed}' permission would "
        "allow this request to continue.",
    )
