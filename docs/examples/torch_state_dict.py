"""Keep the weights of a model in a file that loads without running anything. Needs torch."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import canning


def main() -> None:
    """Save a `state_dict`, and load it into another model; the file is mapped, not read."""
    model = torch.nn.Linear(1000, 10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.canned")
        canning.dump(model.state_dict(), path, readable_as="data")
        print(f"{path.name}: {canning.scan(path).verdict}")
        weights = canning.load(path)  # as data; torch has to be imported
        other = torch.nn.Linear(1000, 10)
        other.load_state_dict(weights)
        assert torch.equal(other.weight, model.weight)
        print(f"loaded {', '.join(weights)}")


if __name__ == "__main__":
    main()
