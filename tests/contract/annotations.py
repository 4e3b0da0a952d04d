"""Checks a JSON answer against the annotations of stripe-python's own response classes.

The annotations are generated from Stripe's OpenAPI description, so they are the nearest thing to a schema that
comes with the SDK. Reported are: a field that is not Optional but missing or null, a field no class knows, a
value of another type, and a value outside a closed list of literals.
"""

import decimal
import importlib
import inspect
import pkgutil
import sys
import types
import typing
from functools import cache
from typing import Any

import stripe
from stripe import ListObject, StripeObject

Literal = typing.Literal
# Keys every object may have although no annotation names them.
UNIVERSAL = {"object", "deleted"}


@cache
def class_names() -> dict[str, type]:
    """Every response class by its bare name, for forward references."""
    found: dict[str, type] = {}
    for module_info in pkgutil.walk_packages(stripe.__path__, "stripe."):
        name = module_info.name
        if ".params" in name or ".v2" in name or name.endswith("_service"):
            continue
        module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            if inspect.isclass(value) and issubclass(value, StripeObject):
                found.setdefault(attribute, value)
    # The SDK imports it under this name while type checking.
    found["CardResource"] = stripe.Card
    return found


@cache
def object_classes() -> dict[str, type[StripeObject]]:
    """Response classes by `object` value."""
    classes = (cls for cls in class_names().values() if isinstance(getattr(cls, "OBJECT_NAME", None), str))
    return {cls.OBJECT_NAME: cls for cls in classes}  # type: ignore[attr-defined]


@cache
def fields(cls: type) -> dict[str, Any]:
    """The response fields a class declares."""
    names = dict(class_names())
    names.update(vars(sys.modules[cls.__module__]))
    names["CardResource"] = stripe.Card
    hints = typing.get_type_hints(cls, names, {**class_names(), "Optional": typing.Optional})
    return {
        name.rstrip("_") if name in ("object_", "from_") else name: hint
        for name, hint in hints.items()
        if not name.startswith("_") and typing.get_origin(hint) is not typing.ClassVar
    }


def check(value: Any, cls: type[StripeObject], path: str = "") -> list[str]:
    """Complaints about `value` as an answer of type `cls`."""
    if not isinstance(value, dict):
        return [f"{path}: expected {cls.__name__}, found {value!r}"]
    if value.get("deleted") is True:
        return []
    declared = fields(cls)
    complaints = [f"{path}.{name}: unknown to {cls.__qualname__}" for name in value if name not in declared]
    complaints = [text for text in complaints if text.split(":")[0].rpartition(".")[2] not in UNIVERSAL]
    for name, hint in declared.items():
        here = f"{path}.{name}"
        if name not in value or value[name] is None:
            if not optional(hint):
                state = "missing" if name not in value else "null"
                complaints.append(f"{here}: {state}, but {cls.__qualname__} requires it")
            continue
        complaints += conforms(value[name], hint, here)
    return complaints


def optional(hint: Any) -> bool:
    """Whether None is allowed."""
    return type(None) in typing.get_args(hint)


def conforms(value: Any, hint: Any, path: str) -> list[str]:
    """Complaints about one value against one annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar):
        return []
    if origin in (typing.Union, types.UnionType):
        return _union(value, [argument for argument in arguments if argument is not type(None)], path)
    if origin is Literal:
        return [] if value in arguments else [f"{path}: {value!r} is none of {arguments[:8]}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: expected a list, found {value!r}"]
        return [text for i, item in enumerate(value) for text in conforms(item, arguments[0], f"{path}[{i}]")]
    if origin is not None and inspect.isclass(origin) and issubclass(origin, ListObject):
        return _listing(value, arguments[0], path)
    if origin is not None and inspect.isclass(origin) and issubclass(origin, StripeObject):
        return [] if isinstance(value, dict) else [f"{path}: expected an object, found {value!r}"]
    return _plain(value, hint, path)


def _plain(value: Any, hint: Any, path: str) -> list[str]:
    if inspect.isclass(hint) and issubclass(hint, StripeObject):
        return check(value, hint, path)
    if hint is decimal.Decimal:
        return [] if isinstance(value, str) else [f"{path}: expected a decimal string, found {value!r}"]
    if hint is float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
    elif hint is int:
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, hint) if inspect.isclass(hint) else True
    return [] if good else [f"{path}: expected {hint}, found {value!r}"]


def _union(value: Any, choices: list[Any], path: str) -> list[str]:
    """`Union[Literal[...], str]` is Stripe's open list: the sandbox shall still stay within the known values."""
    literals = [choice for choice in choices if typing.get_origin(choice) is Literal]
    if literals and isinstance(value, str):
        return conforms(value, literals[0], path)
    if isinstance(value, dict) and "object" in value:
        cls = object_classes().get(value["object"])
        if cls is not None and cls in choices:
            return check(value, cls, path)
    results = [conforms(value, choice, path) for choice in choices]
    return min(results, key=len, default=[])


def _listing(value: Any, item: Any, path: str) -> list[str]:
    if not isinstance(value, dict) or value.get("object") != "list" or not isinstance(value.get("data"), list):
        return [f"{path}: expected a list object, found {value!r}"]
    complaints = [f"{path}.{name}: missing" for name in ("has_more", "url") if name not in value]
    for position, entry in enumerate(value["data"]):
        complaints += conforms(entry, item, f"{path}.data[{position}]")
    return complaints
