import json
import subprocess
import sys
import warnings

import numpy as np
import paddle
import pytest

from paddleseg.errors import UserError
from paddleseg.evaluation.metrics import compute_scores, confusion_matrix

# scikit-learn runs in a process of its own: imported after Paddle 2.6 it can crash the interpreter.
SKLEARN = """
import json, sys, warnings
import numpy as np
from sklearn import metrics

warnings.simplefilter("ignore")
results = {}
for name, case in json.load(sys.stdin).items():
    truth, pred, labels = case["truth"], case["pred"], list(range(case["classes"]))
    each = dict(labels=labels, zero_division=0)
    figures = dict(
        matrix=metrics.confusion_matrix(truth, pred, labels=labels),
        class_iou=metrics.jaccard_score(truth, pred, average=None, **each),
        miou=metrics.jaccard_score(truth, pred, average="macro", **each),
        class_precision=metrics.precision_score(truth, pred, average=None, **each),
        class_recall=metrics.recall_score(truth, pred, average=None, **each),
        class_dice=metrics.f1_score(truth, pred, average=None, **each),
        mdice=metrics.f1_score(truth, pred, average="macro", **each),
        acc=metrics.accuracy_score(truth, pred),
        kappa=metrics.cohen_kappa_score(truth, pred),
    )
    results[name] = {key: np.nan_to_num(value).tolist() for key, value in figures.items()}
print(json.dumps(results))
"""


def random_case(seed, classes, shape=(2, 9, 7), ignored=0.2, absent=()):
    random = np.random.RandomState(seed)
    present = np.setdiff1d(np.arange(classes), absent)
    label, pred = random.choice(present, shape), random.choice(present, shape)
    pred = np.where(random.rand(*shape) < 0.6, label, pred)
    label[random.rand(*shape) < ignored] = 255
    return pred, label, classes


def one_class_case(label, pred, classes=3):
    return np.full((1, 4, 5), pred), np.full((1, 4, 5), label), classes


CASES = {
    "two classes": random_case(0, 2),
    "nineteen classes": random_case(1, 19, shape=(2, 31, 33)),
    "nothing ignored": random_case(2, 4, ignored=0),
    "a class absent from both": random_case(3, 4, absent=[2]),
    "the last class absent from both": random_case(4, 4, absent=[3]),
    "one class, all right": one_class_case(label=1, pred=1),
    "one class, all wrong": one_class_case(label=1, pred=2),
    "a class never predicted": (np.zeros((1, 3, 3), "int64"), random_case(5, 3, (1, 3, 3))[1], 3),
    "a single class": (np.zeros((1, 3, 3), "int64"), np.zeros((1, 3, 3), "int64"), 1),
}


@pytest.fixture(scope="module")
def by_sklearn():
    given = {}
    for name, (pred, label, classes) in CASES.items():
        valid = label != 255
        given[name] = {"truth": label[valid].tolist(), "pred": pred[valid].tolist(), "classes": classes}
    run = subprocess.run(
        [sys.executable, "-c", SKLEARN], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def matrix_of(pred, label, classes, ignore_index=255):
    return confusion_matrix(paddle.to_tensor(pred), paddle.to_tensor(label), classes, ignore_index)


@pytest.mark.parametrize("name", CASES)
def test_scores_equal_those_of_scikit_learn(name, by_sklearn):
    matrix = matrix_of(*CASES[name])
    assert matrix.dtype == paddle.int64
    expected = dict(by_sklearn[name])
    np.testing.assert_array_equal(matrix.numpy(), expected.pop("matrix"))
    result = compute_scores(matrix)
    for key, value in expected.items():
        np.testing.assert_allclose(getattr(result, key), value, rtol=1e-12, atol=1e-15, err_msg=key)


def test_rows_are_truth_and_columns_prediction():
    matrix = matrix_of(np.array([[1, 1, 2]]), np.array([[0, 0, 255]]), 3)
    np.testing.assert_array_equal(matrix.numpy(), [[0, 2, 0], [0, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("ignore_index", [0, -1, 255])
def test_any_label_can_be_the_ignored_one(ignore_index):
    pred, label, classes = random_case(6, 3)
    label[label == 255] = ignore_index
    valid = label != ignore_index
    expected = np.bincount(label[valid] * 3 + pred[valid], minlength=9).reshape(3, 3)
    np.testing.assert_array_equal(matrix_of(pred, label, classes, ignore_index).numpy(), expected)


@pytest.mark.parametrize(("pred_dtype", "label_dtype"), [("int32", "int64"), ("int64", "uint8")])
def test_other_integer_types_give_the_same_matrix(pred_dtype, label_dtype):
    pred, label, classes = random_case(7, 3)
    matrix = matrix_of(pred.astype(pred_dtype), label.astype(label_dtype), classes)
    np.testing.assert_array_equal(matrix.numpy(), matrix_of(pred, label, classes).numpy())


def test_matrices_of_batches_add_up():
    pred, label, classes = random_case(8, 4)
    parts = matrix_of(pred[:1], label[:1], classes) + matrix_of(pred[1:], label[1:], classes)
    np.testing.assert_array_equal(parts.numpy(), matrix_of(pred, label, classes).numpy())


def test_all_ignored_scores_zero_without_a_warning():
    matrix = matrix_of(np.ones((1, 3, 3), "int64"), np.full((1, 3, 3), 255), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compute_scores(matrix)
    assert (result.miou, result.acc, result.kappa, result.mdice) == (0, 0, 0, 0)
    for values in (result.class_iou, result.class_precision, result.class_recall, result.class_dice):
        np.testing.assert_array_equal(values, [0, 0, 0])


def test_large_counts_are_exact():
    result = compute_scores(np.array([[3 * 10**9, 10**9], [0, 0]]))
    np.testing.assert_allclose(result.acc, 0.75, rtol=1e-15)
    np.testing.assert_allclose(result.class_iou, [0.75, 0], rtol=1e-15)
    assert result.kappa == 0


def test_different_shapes_are_refused():
    with pytest.raises(UserError, match=r"prediction \[1, 2, 2\] and label \[1, 1, 2, 2\] differ in shape"):
        matrix_of(np.zeros((1, 2, 2), "int64"), np.zeros((1, 1, 2, 2), "int64"), 2)


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="on a GPU Paddle's kernel aborts the process")
@pytest.mark.parametrize(
    ("pred", "label", "what"), [(0, 3, "label"), (2, 7, "label"), (0, -1, "label"), (3, 0, "prediction")]
)
def test_classes_out_of_range_are_refused(pred, label, what):
    with pytest.raises(UserError, match=rf"a {what} lies outside the 3 classes, .* \(255\) is wrong"):
        matrix_of(np.array([[0, pred]]), np.array([[0, label]]), 3)


def test_log_lines_are_those_of_paddleseg():
    lines = compute_scores(np.array([[8, 2], [1, 9]])).log_lines(images=76)
    assert lines == [
        "[EVAL] #Images: 76 mIoU: 0.7386 Acc: 0.8500 Kappa: 0.7000 Dice: 0.8496",
        "[EVAL] Class IoU: \n[0.7273 0.75  ]",
        "[EVAL] Class Precision: \n[0.8889 0.8182]",
        "[EVAL] Class Recall: \n[0.8 0.9]",
    ]


def test_log_lines_of_many_classes_do_not_wrap():
    for line in compute_scores(np.diag(np.arange(1, 151))).log_lines(images=1)[1:]:
        assert line.count("\n") == 1
        assert line.count("1.") == 150
