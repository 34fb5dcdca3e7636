"""Two gloo ranks on a CPU against one process, through the launcher that users call."""

import json
import os
import re
import subprocess
import sys

import distilling
import numpy as np
import paddle
import pytest
import tiny

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, repository):
    """Folders of the same ten steps of 8 images: by one process, and by two ranks of two batches of 2 each.

    Half of each batch has no masks, and a connector, which rests in the first step, is trained.
    """
    folder = tmp_path_factory.mktemp("ranks")
    root = tiny.write_optic_disc(folder / "data")
    model = {"type": "FrozenNormDeepLab", "backbone": {"type": "FourMaps"}}
    imports = ["frozen_norm", "distilling"]
    dic = tiny.config(root, iters=10, model=model, optimizer={"type": "SGD"}, imports=imports)
    dic["unlabeled_dataset"] = {
        "type": "UnlabeledImages",
        "dataset_root": os.path.join(root, "JPEGImages"),
        "transforms": dic["train_dataset"]["transforms"],
    }
    connected = distilling.feature(
        "head.aspp.conv_bn_relu", connector={"type": "KeptConnector"}, schedule={"start_iter": 1}, weight=0.1
    )
    connected["teacher"] = {"output_of": "backbone", "index": 3}
    # Its weight is measured, and it never trains: the norm of a gradient depends on the size of the batch.
    weighed = distilling.feature(
        "head.aspp.conv_bn_relu", "FitNetLoss", weight="auto", schedule={"start_iter": 100}
    )
    dic["distill"] = {"features": [connected, weighed], "unlabeled_share": 0.5}
    student = tiny.write_yaml(folder / "student.yml", dic)
    teacher = tiny.write_yaml(
        folder / "teacher.yml", {k: dic[k] for k in ("model", "imports", "train_dataset")}
    )
    names = {"layer": "head.aspp.conv_bn_relu", "tensor": "logit_list"}
    distill_file = tiny.write_distill_file(folder / "d.py", [tiny.feature(weight=0.1)], **names)
    path = os.pathsep.join([str(repository), str(repository / "tests"), HERE])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    launch = ["-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", str(folder / "log")]
    done = {}
    for name, batch_size, accumulate, launcher in (("one", 8, 1, []), ("two", 2, 2, launch)):
        script = [os.path.join(os.path.dirname(HERE), "one_rank.py"), student, teacher, distill_file]
        command = [sys.executable, *launcher, *script, str(folder / name), str(batch_size), str(accumulate)]
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        done[name] = result.stdout
    return folder, done


def weights(folder, *parts):
    loaded = paddle.load(os.path.join(folder, *parts), return_numpy=True)
    return {key: value for key, value in loaded.items() if isinstance(value, np.ndarray)}


def test_a_step_of_two_ranks_is_that_of_one_process(runs):
    folder, _ = runs
    one, two = (weights(folder, name, "iter_1", "model.pdparams") for name in ("one", "two"))
    assert set(one) == set(two)
    for key, value in one.items():
        np.testing.assert_allclose(two[key], value, rtol=1e-5, atol=1e-5, err_msg=key)


def test_the_connectors_gradient_is_that_of_one_process(runs):
    """Its weights after ten steps; the bias began as zero."""
    folder, _ = runs
    one, two = (weights(folder, name, "rank_0.pdparams") for name in ("one", "two"))
    for key in ("connector.conv.weight", "connector.conv.bias"):
        np.testing.assert_allclose(two[key], one[key], rtol=1e-4, atol=1e-7, err_msg=key)
    assert np.abs(two["connector.conv.bias"]).max() > 1e-4


def test_the_steps_changed_the_weights(runs):
    folder, _ = runs
    first, last = (weights(folder, "one", f"iter_{i}", "model.pdparams") for i in (1, 10))
    assert max(np.abs(first[key] - last[key]).max() for key in first) > 1e-3


def test_both_ranks_hold_the_same_weights_after_ten(runs):
    folder, _ = runs
    zero, one = (weights(folder, "two", f"rank_{rank}.pdparams") for rank in (0, 1))
    for key, value in zero.items():
        np.testing.assert_array_equal(one[key], value, err_msg=key)


def test_both_ranks_measure_the_same_weight(runs):
    folder, _ = runs
    read = [folder / "two" / name for name in ("measured_0.json", "measured_1.json", "iter_10/state.json")]
    zero, one, state = (json.loads(path.read_text(encoding="utf-8")) for path in read)
    assert zero == one == state["measured"]
    (value,) = zero.values()
    log = (folder / "log" / "workerlog.0").read_text(encoding="utf-8")
    # Ten iterations of two batches on two ranks.
    assert re.search(f"auto is {value:g}: at the student's .*, in the first 40 batches, the gradient", log)


def test_rank_0_logs_and_counts_each_image_once(runs):
    folder, printed = runs
    logs = [(folder / "log" / f"workerlog.{rank}").read_text(encoding="utf-8") for rank in (0, 1)]
    assert logs[0].count("[TRAIN]") == 10
    assert "[TRAIN]" not in logs[1]
    assert "[EVAL]" not in logs[1]
    scores = [re.findall(r"#Images: 5 mIoU: (\S+)", text) for text in (printed["one"], logs[0])]
    assert len(scores[0]) == len(scores[1]) == 10
    assert scores[0][0] == scores[1][0]
