"""Waiting for Resend or Twilio while somebody looks on, in threads of its own.

A vendor that accepts and stays silent holds its thread for many seconds. The loop's own threads serve every page of the
worker and each check of a session: six people who test their senders then would stop it for everybody.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

AT_ONCE = 4
"""Calls a worker makes at a time; a person more waits for one of them."""

_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="vendor")  # threads begin with the first call


async def ask(call: Callable[Given, Answer], *arguments: Given.args, **named: Given.kwargs) -> Answer:
    """What the call answers; its errors pass unchanged. No transaction may be open meanwhile."""
    in_context = functools.partial(contextvars.copy_context().run, call, *arguments, **named)
    return await asyncio.get_running_loop().run_in_executor(_threads, in_context)
