"""Objects in memory: one `Space` per account and mode, one `Table` per type, pages straight from sorted indexes.

Objects are the plain dicts that go over the wire (in the newest shape). They are changed in place and then
`save`d, which keeps indexes right and marks them for persistence. What Stripe would never show (a card's
behaviour, webhook secrets, when something falls due) lives beside them in `hidden`.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Key = tuple[int, int, str]  # created, arrival, id: the order of every list
Reader = Callable[[Json], Any]


def _subscription_of(invoice: Json) -> str | None:
    details = (invoice.get("parent") or {}).get("subscription_details")
    return details["subscription"] if details else None


def _field(name: str) -> Reader:
    return lambda obj: obj.get(name)


# Equality filters that lists offer and that deserve an index.
INDEXES: dict[str, dict[str, Reader]] = {
    "invoice": {"status": _field("status"), "customer": _field("customer"), "subscription": _subscription_of},
    "invoice_payment": {
        "status": _field("status"),
        "invoice": _field("invoice"),
        "payment_intent": lambda obj: obj["payment"].get("payment_intent"),
    },
    "subscription": {"status": _field("status"), "customer": _field("customer")},
    "payment_intent": {"customer": _field("customer")},
    "charge": {"customer": _field("customer"), "payment_intent": _field("payment_intent")},
    "payment_method": {"customer": _field("customer")},
    "setup_intent": {"customer": _field("customer")},
    "refund": {"charge": _field("charge"), "payment_intent": _field("payment_intent")},
    "dispute": {"charge": _field("charge"), "payment_intent": _field("payment_intent")},
    "price": {"product": _field("product")},
    "customer": {"email": _field("email")},
    "event": {"type": _field("type")},
    "invoiceitem": {"customer": _field("customer"), "invoice": _field("invoice")},
    "credit_note": {"invoice": _field("invoice")},
}


class Table:
    """All objects of one type, ordered by creation, with equality indexes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.objects: dict[str, Json] = {}
        self.order: list[Key] = []
        self._keys: dict[str, Key] = {}
        self._readers = INDEXES.get(kind, {})
        self._indexes: dict[tuple[str, Any], list[Key]] = {}
        self._indexed: dict[str, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self.objects)

    def arrival(self, identifier: str) -> int:
        """When the object came, as a sequence number."""
        return self._keys[identifier][1]

    def put(self, obj: Json, arrival: int) -> None:
        """Insert or re-index."""
        identifier = obj["id"]
        values = tuple(reader(obj) for reader in self._readers.values())
        key = self._keys.get(identifier)
        if key is None:
            key = (obj.get("created") or 0, arrival, identifier)
            self._keys[identifier] = key
            self.objects[identifier] = obj
            _insert(self.order, key)
            self._index(key, (), values)
        elif values != self._indexed[identifier]:
            self._index(key, self._indexed[identifier], values)
        self._indexed[identifier] = values

    def remove(self, identifier: str) -> None:
        """Forget the object."""
        key = self._keys.pop(identifier)
        del self.objects[identifier]
        _delete(self.order, key)
        self._index(key, self._indexed.pop(identifier), ())

    def _index(self, key: Key, old: tuple[Any, ...], new: tuple[Any, ...]) -> None:
        for position, name in enumerate(self._readers):
            before = old[position] if old else None
            after = new[position] if new else None
            if before == after:
                continue
            if before is not None:
                _delete(self._indexes[name, before], key)
            if after is not None:
                _insert(self._indexes.setdefault((name, after), []), key)

    def where(self, name: str, value: Any) -> list[Json]:
        """All objects with this indexed value, oldest first."""
        return [self.objects[key[2]] for key in self._indexes.get((name, value), [])]

    def count(self, name: str, value: Any) -> int:
        """How many objects have this indexed value."""
        return len(self._indexes.get((name, value), []))

    def page(
        self,
        filters: dict[str, Any],
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        created: tuple[int | None, int | None] = (None, None),
        accept: Callable[[Json], bool] | None = None,
    ) -> tuple[list[Json], bool]:
        """One page, newest first. `after`/`before` are ids; `created` is an inclusive range. Raises KeyError."""
        indexed = {name: value for name, value in filters.items() if name in self._readers}
        plain = {name: value for name, value in filters.items() if name not in self._readers}
        keys = min((self._indexes.get(item, []) for item in indexed.items()), key=len, default=self.order)
        low, high = 0, len(keys)
        if created[0] is not None:
            low = bisect_left(keys, (created[0], -1, ""))
        if created[1] is not None:
            high = bisect_left(keys, (created[1] + 1, -1, ""))
        if after is not None:
            high = min(high, bisect_left(keys, self._keys[after]))
        forward = before is not None
        if before is not None:
            low = max(low, bisect_right(keys, self._keys[before]))
        found: list[Json] = []
        for key in self._walk(keys, low, high, forward=forward):
            obj = self.objects[key[2]]
            if any(self._readers[name](obj) != value for name, value in indexed.items()):
                continue
            if any(obj.get(name) != value for name, value in plain.items()) or (accept and not accept(obj)):
                continue
            found.append(obj)
            if len(found) > limit:
                break
        more = len(found) > limit
        found = found[:limit]
        return (found[::-1] if forward else found), more

    @staticmethod
    def _walk(keys: list[Key], low: int, high: int, *, forward: bool) -> Iterator[Key]:
        positions = range(low, high) if forward else range(high - 1, low - 1, -1)
        return (keys[position] for position in positions)


def _insert(keys: list[Key], key: Key) -> None:
    if not keys or keys[-1] < key:
        keys.append(key)
    else:
        insort(keys, key)


def _delete(keys: list[Key], key: Key) -> None:
    position = bisect_left(keys, key)
    if position < len(keys) and keys[position] == key:
        del keys[position]


class Store:
    """All spaces; collects what changed until it is written."""

    def __init__(self) -> None:
        self.spaces: dict[str, Space] = {}
        self.dirty: dict[tuple[str, str, str], None] = {}
        self.gone: list[int] = []  # arrivals of removed objects
        self.arrivals = 0

    def space(self, key: str) -> "Space":
        """The space of this key, made when first asked for."""
        found = self.spaces.get(key)
        if found is None:
            found = self.spaces[key] = Space(self, key)
        return found


class Space:
    """One account's objects in one mode. The empty key is the sandbox's own bookkeeping."""

    def __init__(self, store: Store, key: str) -> None:
        self.store, self.key = store, key
        self.account, _, mode = key.partition("/")
        self.livemode = mode == "live"
        self.tables: dict[str, Table] = {}
        self.hidden: dict[str, Json] = {}
        self.kinds: dict[str, str] = {}  # id -> type, for expansion

    def table(self, kind: str) -> Table:
        """The table of a type, made when first asked for."""
        found = self.tables.get(kind)
        if found is None:
            found = self.tables[kind] = Table(kind)
        return found

    def save(self, kind: str, obj: Json) -> Json:
        """Insert or re-index `obj`, and have it written with the next commit."""
        identifier = obj["id"]
        if identifier not in self.kinds:
            self.store.arrivals += 1
            self.kinds[identifier] = kind
        self.table(kind).put(obj, self.store.arrivals)
        self.store.dirty[self.key, kind, identifier] = None
        return obj

    def load(self, kind: str, obj: Json, hidden: Json | None, arrival: int) -> None:
        """Put back what was persisted."""
        self.kinds[obj["id"]] = kind
        self.table(kind).put(obj, arrival)
        if hidden:
            self.hidden[obj["id"]] = hidden
        self.store.arrivals = max(self.store.arrivals, arrival)

    def remove(self, identifier: str) -> None:
        """Forget an object."""
        kind = self.kinds.pop(identifier)
        table = self.table(kind)
        self.store.gone.append(table.arrival(identifier))
        table.remove(identifier)
        self.hidden.pop(identifier, None)
        self.store.dirty.pop((self.key, kind, identifier), None)

    def get(self, kind: str, identifier: str | None) -> Json | None:
        """The object, or None."""
        return self.table(kind).objects.get(identifier) if identifier else None

    def find(self, identifier: str) -> tuple[str, Json] | None:
        """An object of any type by its id."""
        kind = self.kinds.get(identifier)
        return (kind, self.table(kind).objects[identifier]) if kind else None

    def private(self, identifier: str) -> Json:
        """What is kept beside the object; changes need a `save` of the object to be written."""
        return self.hidden.setdefault(identifier, {})
