"""`python -m core.embedded.child [--signal NAME] -- program args…`: run a program that ends when its owner ends.

A supervisor killed with SIGKILL cannot stop its children; the kernel can, if each of them asked for it.
"""

import argparse
import shutil
import signal
import sys

from core.embedded.process import become


def main() -> None:
    parser = argparse.ArgumentParser(prog="core.embedded.child")
    parser.add_argument("--signal", default="TERM", help="what the program gets when its owner ends")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    program = shutil.which(options.command[0])
    if program is None:
        sys.exit(f"{options.command[0]}: no such program")
    become([program, *options.command[1:]], end_signal=signal.Signals[f"SIG{options.signal}"])


if __name__ == "__main__":
    main()
