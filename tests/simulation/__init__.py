"""PHANTOM's whole engine on a virtual clock, against vendors in the same process, judged by a ledger of its own.

Everything follows from one number, the seed: customers, cards, what people do, what goes wrong and when. The parts:

- `scenario` draws a merchant and its customers; `people` lets them act, `visits` follow links, `presence` go on using
  the product, and `staff` the merchant's own: pausing, releasing drafts, voiding, recording consents, disconnecting.
  `rules` changes the merchant's rules in the middle, and `settling` settles invoices without a charge.
- `wire` carries Stripe's webhooks, and loses, repeats, shuffles and delays them; `callbacks` does so with what the
  providers of mail and texts post back. `vendors` are Stripe and those providers, with time-outs, 429 and 5xx before
  and after the effect; `providers` the merchant's accounts there: keys that are revoked, dead boxes, complaints, STOP.
- `process` is a process of PHANTOM's that can die between any two steps: what dies does nothing more, not even in
  its `finally` blocks, and its leases run out.
- `engine` runs intake, worker and Sentinel in such processes, with `inplace` for threads, Redis and real pauses; `play`
  jumps from event to event, from `opening` to `ending`; `shop` is the merchant's account at Stripe, and `team` its own
  people, who get digests and alerts.
- `ledger` writes down what really happened; `judge` compares PHANTOM with it: `letters`, `words` and `own_words` each
  message as its provider takes it, `rates` how fast they come, `team` what its people are told; at the end `money`,
  `merit`, `charging`, `lives` (strategies and moves), `protection`, `forgetting` (erasure and purge) and `billing`
  (usage reports), and `heard`, what was left undone; `ahead` holds the dry run against the plans. docs/simulation.md
  has each rule with its invariant, and the broken engine that proves it is seen.

What not every merchant has, a team, a bill, words of its own, customers who are held out, a short memory, is drawn for
some seeds. Left out: the intake's group commit and back-pressure, heartbeats and partitions (real time), payments under
way at a bank. Other tests have them.

`python -m tests.simulation --seeds N` (`phantom sim`) plays many seeds; a failing one prints what replays it.
"""
