"""Devices and ranks: joint operations of a training's processes, and how they stop."""

from paddleseg.parallel.ranks import (
    gathered,
    least_over_ranks,
    most_over_ranks,
    num_ranks,
    on_cpu,
    parallel_model,
    rank,
    seed_everything,
    seed_iteration,
    set_device,
    sum_over_ranks,
    with_batch_norm_of_the_device,
    with_sync_batch_norm,
)

__all__ = [
    "gathered",
    "least_over_ranks",
    "most_over_ranks",
    "num_ranks",
    "on_cpu",
    "parallel_model",
    "rank",
    "seed_everything",
    "seed_iteration",
    "set_device",
    "sum_over_ranks",
    "with_batch_norm_of_the_device",
    "with_sync_batch_norm",
]
