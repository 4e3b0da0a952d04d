"""Ending a process where no Python can run any more: a handler stuck in C code that holds the interpreter's lock.

Neither a signal's handler nor a thread of ours would be heard there. Only a timer in C can act, and the standard
library has one: it is set anew every few seconds for as long as Python runs, and ends the process when it is not.
"""

import faulthandler
import threading

SECONDS = 20.0


def guard() -> None:
    """From now on the process ends with exit code 1, its stacks on stderr, once Python stood still for `SECONDS`.

    Leases run out with it, its tasks are rescued, and the one to blame is dead after three such deaths.
    """
    over = threading.Event()

    def set_anew() -> None:
        while True:
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            over.wait(SECONDS / 5)

    threading.Thread(target=set_anew, name="lockjaw", daemon=True).start()
