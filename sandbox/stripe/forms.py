"""Stripe's form encoding: `items[0][price]=x&expand[]=customer` to nested dicts and lists, and small conversions."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.errors import StripeError, invalid

Params = dict[str, Any]


def parse(text: str) -> Params:
    """Decode a query string or form body. Values stay strings; `""` is kept (Stripe reads it as "unset")."""
    return nest(parse_qsl(text, keep_blank_values=True))


def nest(pairs: Iterable[tuple[str, str]]) -> Params:
    """Build the nested structure of bracketed names; dicts whose keys are 0..n become lists."""
    root: Params = {}
    for name, value in pairs:
        keys = _split(name)
        here = root
        for key in keys[:-1]:
            found = here.setdefault(key, {})
            if not isinstance(found, dict):
                raise invalid(f"Invalid parameter: {name}", param=name)
            here = found
        last = keys[-1]
        if last == "":
            last = str(len(here))
        here[last] = value
    return {key: _lists(value) for key, value in root.items()}


def _split(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket:
        return [head]
    return [head, *rest.removesuffix("]").split("][")]


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(item) for key, item in value.items()}
    if inner and all(key.isdigit() or key == "" for key in inner):
        return [inner[key] for key in sorted(inner, key=lambda k: int(k or 0))]
    return inner


def integer(params: Params, name: str, default: int | None = None) -> int | None:
    """An integer parameter, or Stripe's `parameter_invalid_integer`."""
    value = params.get(name)
    if value is None or value == "":
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise StripeError(
            400, "invalid_request_error", f"Invalid integer: {value}", code="parameter_invalid_integer", param=name
        ) from None


def required_integer(params: Params, name: str) -> int:
    """An integer that has to be there."""
    value = integer(params, name)
    if value is None:
        raise missing(name)
    return value


def boolean(params: Params, name: str, default: bool = False) -> bool:
    """A boolean parameter: `true` or `false`."""
    value = params.get(name)
    if value is None or value == "":
        return default
    if value in ("true", True, "1"):
        return True
    if value in ("false", False, "0"):
        return False
    raise invalid(f"Invalid boolean: {value}", param=name)


def missing(name: str) -> StripeError:
    """Stripe's answer to an absent required parameter."""
    return StripeError(
        400,
        "invalid_request_error",
        f"Missing required param: {name}.",
        code="parameter_missing",
        param=name,
    )


def required(params: Params, name: str) -> Any:
    """A parameter that has to be there."""
    value = params.get(name)
    if value is None or value == "":
        raise missing(name)
    return value


def metadata(current: dict[str, str], params: Params) -> dict[str, str]:
    """Merge `metadata` as Stripe does: an empty value removes its key, an empty string removes all."""
    given = params.get("metadata")
    if given is None:
        return current
    if given == "":
        return {}
    merged = current | {key: str(value) for key, value in given.items()}
    return {key: value for key, value in merged.items() if value != ""}


def bounds(params: Params, name: str) -> tuple[int | None, int | None]:
    """A range such as `created`, both ends included: one moment, or any of gt, gte, lt, lte; None is unbounded."""
    given = params.get(name)
    if not given:
        return None, None
    if not isinstance(given, dict):
        moment = required_integer(params, name)
        return moment, moment
    ends = {each: integer(given, each) for each in ("gt", "gte", "lt", "lte")}
    low = ends["gte"] if ends["gte"] is not None else ends["gt"] + 1 if ends["gt"] is not None else None
    high = ends["lte"] if ends["lte"] is not None else ends["lt"] - 1 if ends["lt"] is not None else None
    return low, high
