"""Shows how far a start has come: ticks and times on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Live


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

    @contextlib.contextmanager
    def bar(self, name: str) -> Iterator[Callable[[float, str], None]]:
        """A long step that knows how far it has come: gives a function that takes the share done and words."""
        begun = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Live(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as live:
            task = live.add_task(name, total=1.0)
            yield lambda share, words: live.update(task, completed=share, description=f"{name}: {words}")
        self.console.print(f"[green]✓[/green] {name} [dim]{time.monotonic() - begun:.1f} s[/dim]")

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started
