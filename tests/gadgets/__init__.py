"""Attacks by pickle, collected: each is shown to work on pickle, then offered to what reads for strangers.

`by_execution`, `by_import`, `by_effect` and `by_process` hold what can be called by name, `by_chain` what is
called by way of others, `by_structure` how a pickle hides what it does, `by_ours` what this package's own
names could be bent to, `by_load` what crashes or exhausts a reader. Where an attack is known from stands with
it: an advisory (``GHSA-...``, ``CVE-...``), or the scanner that had to learn of it.
"""
