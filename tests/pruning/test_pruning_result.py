"""`pruning.json` and its table."""

import pytest

from paddleseg.errors import UserError
from paddleseg.pruning.result import Figures, Result, read_result

RESULT = Result(
    config="student.yml",
    weights="w.pdparams",
    criterion="fpgm",
    pruning_ratio=0.5,
    sensitivity=False,
    align=8,
    input_shape=[1, 3, 32, 32],
    before=Figures(11_401_298, 401_000_000, 0.75),
    pruned=Figures(5_000_000, 200_000_000, None),
)


def test_figures_are_read_back(tmp_path):
    RESULT.write(tmp_path)
    assert read_result(tmp_path) == RESULT


def test_the_table():
    assert RESULT.table() == [
        "        parameters  GFLOPs    mIoU",
        "before  11,401,298   0.401  0.7500",
        "pruned   5,000,000   0.200        ",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read .*pruning.json: No such file"),
        ("[]", "is not the result file of a pruning"),
        ('{"before": {}}', "is not the result file of a pruning"),
        ("{", "is not the result file of a pruning"),
    ],
)
def test_files_that_hold_no_figures(tmp_path, text, message):
    if text is not None:
        (tmp_path / "pruning.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_result(tmp_path)


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(UserError, match="none/pruning.json cannot be written: No such file"):
        RESULT.write(tmp_path / "none")
