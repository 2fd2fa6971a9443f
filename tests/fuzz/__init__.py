"""Broken messages, by the million: each must end in a value or a `DeserializationError`.

``python -m tests.fuzz --help`` runs them. `corpus` has the messages that are broken, `mutate` and `trailers`
break them, `sources` numbers the inputs, so that any of them can be made again, `surfaces` is what they are
handed to, `run` runs them in processes of their own, and `report` tells. `law` looks for those that take
most.
"""
