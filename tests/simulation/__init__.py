"""PHANTOM's whole engine on a virtual clock, against vendors in the same process, judged by a ledger of its own.

Everything follows from one number, the seed: customers, cards, what people do, what goes wrong and when. The parts:

- `scenario` draws a merchant and its customers; `people` lets them act.
- `wire` carries webhooks, and loses, repeats, shuffles and delays them; `vendors` are Stripe and the mail provider,
  with time-outs, 429 and 5xx before and after the effect.
- `process` is a process of PHANTOM's that can die between any two steps: what dies does nothing more, not even in
  its `finally` blocks, and its leases run out.
- `engine` runs intake, worker and Sentinel in such processes; `play` jumps from event to event.
- `ledger` writes down what really happened; `judge` compares PHANTOM with it.

`python -m tests.simulation --seeds N` (`phantom sim`) plays many seeds; a failing one prints what replays it.
"""
