"""Lets a command in another shell work on the stack that `up` started: the stack's settings, kept in its folder."""

import json
import os
from pathlib import Path

from cli.stack.environment import Given, Stack
from cli.stack.folder import Folder, write_private

_FILE = "environment.json"


def keep(stack: Stack) -> None:
    """Write a demo's settings down, mode 0600, the owner's login included: `phantom migrate` is such a command."""
    if stack.is_demo:
        write_private(
            stack.folder.path / _FILE, json.dumps({**stack.variables, "DATABASE_ADMIN_URL": stack.admin_url}, indent=1)
        )


def use_running_stack(folder: Path) -> None:
    """Take the settings of the demo that runs on `folder`, unless this shell or `.env` names a database itself."""
    path = folder / _FILE
    if Given.read().database_url or not path.exists() or not Folder(folder).is_held():
        return
    os.environ.update(json.loads(path.read_text()))
