"""PHANTOM's own worker, with the benches' kinds of task: `python -m benchmarks.probe_worker`."""

import sys

from benchmarks import probe
from jobs import worker

if __name__ == "__main__":
    probe.register()
    sys.exit(worker.main(["--lane", "quick"]))
