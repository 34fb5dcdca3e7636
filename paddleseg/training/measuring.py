"""What a step must know of the first batches before its first iteration."""

import contextlib

from paddleseg.utils.logger import logger

ITERATIONS = 10  # so many are read and measured, or all if the training has fewer


def measure(step, update, read, start_iter, iters):
    """Let a step measure the batches of the next iterations, which are then trained as if it had not.

    Weights, statistics, queues and random numbers stay as they are. So the training equals one whose config
    states what was measured, bit for bit. A training that ends before its first checkpoint measures the same
    batches again; a later one takes what the checkpoint holds.

    Args:
        step: a `Step` that is `unmeasured`; otherwise nothing is done.
        update: the `Update` of the training.
        read: `read(after, count)` returns a generator of the lists of batches of the `count` iterations that
            follow iteration number `after`.
        start_iter: iterations that an earlier process has made.
        iters: the last iteration.

    Raises:
        UserError: what the step needs cannot be measured.
    """
    count = min(ITERATIONS, iters - start_iter)
    if not step.unmeasured or count < 1:
        return
    logger.info(f"measuring the weights of losses on the batches of the first {count} iterations")
    with contextlib.closing(read(start_iter, count)) as groups:
        for iteration, batches in enumerate(groups, start_iter + 1):
            update.measure(batches, iteration)
    step.settle()
