"""How long ONNX files take for an image, in turns, so that a busy machine slows all of them alike."""

import time

import numpy as np

from paddleseg.graphs import open_session

SECONDS, LEAST_ROUNDS, MOST_ROUNDS = 10.0, 5, 50


def latencies(paths, batch, threads):
    """Return the median latency of each file in milliseconds.

    Args:
        paths: ONNX files.
        batch: float32 N x C x H x W.
        threads: how many threads onnxruntime has.
    """
    sessions = [open_session(path, threads=threads) for path in paths]
    durations = [[] for _ in paths]
    started = time.perf_counter()
    for session in sessions:  # its first run allocates memory
        session.run(None, {session.get_inputs()[0].name: batch})
    while len(durations[0]) < MOST_ROUNDS:
        for session, measured in zip(sessions, durations):
            begun = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: batch})
            measured.append(time.perf_counter() - begun)
        if time.perf_counter() - started > SECONDS and len(durations[0]) >= LEAST_ROUNDS:
            break
    return [1000 * float(np.median(measured)) for measured in durations]
