"""Benchmarks of canning beside its peers, in the same run on the same objects: ``python -m tests.bench``.

The suites: `codec` (round trips in one process), `wire` (from process to process), `many` (many small
buffers in a message), `messages` (small messages a second), `arena` (through shared memory), `memory` (peaks
at the sender and at the receiver), `signing`, `camera` and `viewers` (photos at a given rate, to one process
and to four) and `growth` (with arrays, consumers, bytes). Other load slows a machine down by the minute, so
peers take turns, a round each, and the best round counts; ratios hold where times do not.

Two are programs of their own: `small` (small rows, of two checkouts by turns) and `shaped` (compression over
links of a known speed, which needs root).
"""
