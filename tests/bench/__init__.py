"""Benchmarks of canning beside its peers, in the same run on the same objects.

Three suites: `codec` (round trips in one process), `wire` (from process to process) and `memory` (peaks at
the sender and at the receiver). Other load slows a machine down by the minute, so peers take turns, a
round each, and the best round counts; ratios hold where times do not.

Run as ``python -m tests.bench`` from the root of the repository.
"""
