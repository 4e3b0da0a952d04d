"""Python's collector of circular garbage, for work that makes millions of objects and no circles."""

import contextlib
import gc
from collections.abc import Iterator

MANY = 50_000


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Look for circles after 50,000 new objects instead of 700, while this lasts.

    A page of a hundred invoices is some 20,000 objects, which are gone by counting references when the next one comes.
    Looking through them thirty times a page for circles that are not there took a third of a hunt's processor time.
    Memory stays flat: a collection still comes every few pages. The setting is the process's.
    """
    former = gc.get_threshold()
    gc.set_threshold(MANY, *former[1:])
    try:
        yield
    finally:
        gc.set_threshold(*former)
