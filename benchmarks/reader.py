"""Somebody who looks at a merchant's dashboard again and again: `python -m benchmarks.reader mer_…`, until SIGTERM.

Says at its end, on standard output and as JSON, how often it looked and how long the slowest hundredth took.
"""

import argparse
import json
import signal
import sys
import threading
import time

from benchmarks.harness import percentile
from core import db
from services.recovery.overview import overview

EVERY_SECONDS = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.reader")
    parser.add_argument("merchant")
    merchant = parser.parse_args().merchant
    over, took = threading.Event(), []
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    while not over.wait(EVERY_SECONDS):
        began = time.perf_counter()
        with db.tenant_session(merchant) as session:
            overview(session, merchant)
        took.append((time.perf_counter() - began) * 1000)
    db.dispose()
    sys.stdout.write(json.dumps({"reads": len(took), "p99": percentile(took, 0.99) if took else 0.0}) + "\n")


if __name__ == "__main__":
    main()
