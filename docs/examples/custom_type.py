"""Send a type of your own without a copy, by a `Registry`, and let strangers send it too."""

from __future__ import annotations

from typing import Any

import numpy as np

import canning


class Signal:
    """Samples and their rate; as a pickle it would be a list of numbers."""

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        self.samples, self.rate = samples, rate

    def __reduce__(self) -> Any:
        return Signal, (self.samples.tolist(), self.rate)


def state_of(signal: Signal) -> tuple[np.ndarray, int]:
    """Give what a signal consists of; arrays in it are not copied."""
    return signal.samples, signal.rate


def build(state: Any) -> Signal:
    """Build a signal from any state, also one that a stranger made up."""
    samples, rate = state
    if not isinstance(samples, np.ndarray) or samples.ndim != 1 or samples.dtype != np.float64:
        raise ValueError("the samples are not one row of float64")
    if type(rate) is not int or rate < 1:
        raise ValueError("the rate is not a positive int")
    return Signal(samples, rate)


def main() -> None:
    """Send a signal through a registry that both sides have, and one that is wrong."""
    registry = canning.Registry()
    registry.register(Signal, can=state_of, uncan=build, data=True)
    codec = canning.Serializer(registry=registry, trust="data")

    signal = Signal(np.linspace(0, 1, 44_100), 44_100)
    frames = codec.serialize_object({"left": signal})
    assert np.shares_memory(np.frombuffer(frames[1]), signal.samples)  # not copied
    got = codec.deserialize_object(frames)[0]["left"]
    print(f"{len(got.samples)} samples at {got.rate} Hz in {len(frames)} frames")

    try:
        codec.deserialize_object(codec.serialize_object(Signal(np.zeros((2, 2)), 44_100)))
    except canning.DeserializationError as error:
        print(f"refused: {error}")


if __name__ == "__main__":
    main()
