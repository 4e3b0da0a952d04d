"""What a page module declares about itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import reflex as rx


@dataclass(frozen=True)
class Page:
    """A route, what stands there, and what runs when it is opened."""

    route: str
    title: str
    component: Callable[[], rx.Component]
    on_load: Any = None
    description: str = "PHANTOM finds revenue that was earned and not received, and gets it back."
