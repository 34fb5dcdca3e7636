"""deploy/benchmark.py: how often a model runs, and the figures of its runs."""

import numpy as np
import pytest


@pytest.fixture
def benchmark(deployment):
    """deploy/benchmark.py, as a module."""
    return deployment("benchmark")


@pytest.fixture
def timed(benchmark, monkeypatch):
    """A function that returns a `Clock` whose run k of N images takes k * N seconds, and the shapes."""

    def make(**given):
        shapes, now = [], [0.0]

        def run(batch):
            shapes.append(batch.shape)
            now[0] += len(shapes) * len(batch)
            return batch

        monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])
        return benchmark.Clock(run, **given), shapes

    return make


def zeros(*shape):
    return np.zeros(shape, "float32")


def test_the_first_batch_alone_warms_up(timed):
    clock, shapes = timed(warmup=2)
    for width in (4, 4, 6):
        clock(zeros(1, 3, 4, width))
    assert [shape[3] for shape in shapes] == [4, 4, 4, 4, 6]
    assert clock.seconds == {(1, 3, 4, 4): [3, 4], (1, 3, 4, 6): [5]}
    assert clock.latency(1) == "latency of the model alone: median 4000.0 ms (3000.0 to 5000.0 ms)"


def test_a_batch_counts_for_each_of_its_images(timed):
    clock, _ = timed(warmup=0)
    clock(zeros(4, 3, 4, 4))
    line = "latency of the model alone: median 1000.0 ms (1000.0 to 1000.0 ms) an image in batches of 4"
    assert clock.latency(4) == line


def test_a_benchmark_warms_up_for_each_shape_and_gives_percentiles(timed, benchmark):
    clock, shapes = timed(warmup=1, repeats=100, each_shape=True)
    clock(zeros(2, 3, 4, 4))
    clock(zeros(1, 3, 4, 4))
    clock(zeros(2, 3, 4, 4))
    assert len(shapes) == 101 + 101 + 100
    for name, seconds in (("read", 0.0), ("write", 0.0)):
        clock.seconds_beside[name].append(seconds)
    title, head, first, second, beside = clock.table("m.onnx")
    assert title == "benchmark of m.onnx: ms a batch, warm-up runs: 1"
    assert head.split() == ["input", "runs", "mean", "p50", "p90", "p95", "p99", "images/s"]
    seconds = 2.0 * np.array([*range(2, 102), *range(203, 303)])
    expected = [1000 * np.mean(seconds), *(1000 * np.percentile(seconds, p) for p in (50, 90, 95, 99))]
    numbers = first.split()
    assert numbers[:8] == ["2", "x", "3", "x", "4", "x", "4", "200"]
    np.testing.assert_allclose([float(n) for n in numbers[8:13]], expected, atol=0.06)
    assert second.split()[:8] == ["1", "x", "3", "x", "4", "x", "4", "100"]
    assert beside == "beside the model, an image takes 0.0 ms to read and prepare, 0.0 ms to write"


def test_the_most_frequent_shapes_are_listed(timed, benchmark):
    clock, _ = timed(warmup=0)
    for width in range(1, 13):
        clock(zeros(1, 3, 4, width))
    clock.seconds_beside.update(read=[0.001], write=[0.002])
    lines = clock.table("m.onnx")
    assert len(lines) == 2 + benchmark.MOST_SIZES + 2
    assert lines[-2] == "and 2 other shapes"
    assert lines[-1].endswith("1.0 ms to read and prepare, 2.0 ms to write")


def test_what_fails_is_not_timed(timed, benchmark):
    clock, _ = timed(warmup=0)
    with pytest.raises(ValueError, match="cut off"), clock.beside("read"):
        raise ValueError("cut off")
    assert not clock.seconds_beside["read"]
    clock.run = zeros
    with pytest.raises(benchmark.ImageError, match="the model does not run on an input of 1 x 3 x 4 x 4: "):
        clock(zeros(1, 3, 4, 4))
