"""PostgreSQL and Redis out of Python wheels, run as our own children: what a bare machine has no other way to get.

Each server listens on 127.0.0.1 with a password, keeps its files in one folder, and dies with whoever started it.
"""
