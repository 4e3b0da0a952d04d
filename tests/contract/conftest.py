"""The sandbox's worlds, as its own tests use them."""

from tests.sandbox.conftest import manual_clock, play

__all__ = ["manual_clock", "play"]
