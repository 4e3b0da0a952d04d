"""Vendors that keep silent hold up nobody but those who wait for them."""

import ast
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phantom_app import vendors

STATES = Path(vendors.__file__).parent / "state"


async def test_pages_go_on_while_everybody_waits_for_a_vendor() -> None:
    answered = threading.Event()
    try:
        asked = [asyncio.create_task(vendors.ask(answered.wait, 20)) for _ in range(3 * vendors.AT_ONCE)]
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        assert await asyncio.wait_for(asyncio.to_thread(int, "7"), timeout=10) == 7
        assert not any(task.done() for task in asked)
    finally:
        answered.set()
    assert await asyncio.gather(*asked) == [True] * len(asked)


async def test_what_a_vendor_refuses_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await vendors.ask(divmod, 1, 0)


def test_screens_use_the_loops_threads_for_the_database_alone() -> None:
    found = {
        path.name
        for path in STATES.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("to_thread", "run_in_executor")
    }
    assert found == {"access.py"}
