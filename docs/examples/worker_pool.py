"""Give jobs to a pool of processes over PUSH and PULL, and take results as they become ready."""

from __future__ import annotations

import multiprocessing
import tempfile

import numpy as np
import zmq

import transport

WORKERS, JOBS = 2, 6


def work(jobs: str, results: str) -> None:
    """Do jobs until one is None."""
    with zmq.Context() as context, context.socket(zmq.PULL) as into, context.socket(zmq.PUSH) as out:
        into.connect(jobs)
        out.connect(results)
        sender = transport.Sender(out, timeout=30)
        sender.send("ready")  # jobs are dealt out in turn, so let every worker be there first
        for job in transport.Receiver(into, timeout=30):
            if job is None:
                break
            sender.send({"number": job["number"], "mean": float(job["image"].mean())})


def main() -> None:
    """Start the workers, deal out jobs, and collect the results."""
    processes = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as out,
        context.socket(zmq.PULL) as into,
    ):
        jobs, results = f"ipc://{folder}/jobs", f"ipc://{folder}/results"
        out.bind(jobs)
        into.bind(results)
        workers = [processes.Process(target=work, args=(jobs, results)) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        sender, receiver = transport.Sender(out, timeout=30), transport.Receiver(into, timeout=60)
        for _ in workers:
            assert receiver.recv() == "ready"
        for number in range(JOBS):
            sender.send({"number": number, "image": np.full((480, 640), number, np.uint8)})
        means = {}
        for _ in range(JOBS):
            result = receiver.recv()
            means[result["number"]] = result["mean"]
        print("means:", [means[number] for number in range(JOBS)])
        for _ in workers:
            sender.send(None)
        for worker in workers:
            worker.join(30)


if __name__ == "__main__":
    main()
