"""The processes that work: RQ workers, the Sentinel, and one thin file per kind of task."""
