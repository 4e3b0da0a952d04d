"""Shows how far a start has come: ticks and times on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console


class Progress:
    """Steps of one command, one line each, on stderr: stdout is for results."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self.started = time.monotonic()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a block under its name; a failure inside is the block's own to report."""
        begun = time.monotonic()
        waiting = self.console.status(f"{name} …") if self.console.is_terminal else contextlib.nullcontext()
        with waiting:
            yield
        self.console.print(f"[green]✓[/green] {name} [dim]{time.monotonic() - begun:.1f} s[/dim]")

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started
