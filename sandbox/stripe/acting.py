"""What every action needs: the world, and an object of an account."""

from typing import TYPE_CHECKING

from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World

Account = str | Space


class Acting:
    """Base of the action classes."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def _get(self, account: Account, kind: str, identifier: str) -> tuple[Space, Json]:
        space = self.world.space(account)
        return space, space.table(kind).objects[identifier]
