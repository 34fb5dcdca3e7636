"""The demonstration's flags, and what its table says of chance."""

import pytest

from paddleseg.commands import demo


@pytest.mark.parametrize(
    ("flags", "message"), [(["--iters", "0"], "above 0"), (["--seeds", "0", "-1"], "--seeds")]
)
def test_wrong_numbers_are_refused_before_anything_is_trained(monkeypatch, capsys, flags, message):
    monkeypatch.setattr("sys.argv", ["demo.py", *flags])
    with pytest.raises(SystemExit) as end:
        demo.main()
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def runs_of(**mious):
    entry = {"disc_iou": 0.5, "seconds": 1, "parameters": 1e6}
    return {name: [{**entry, "miou": miou} for miou in of_name] for name, of_name in mious.items()}


@pytest.mark.parametrize(
    ("student", "distilled", "sentence"),
    [
        # The sample deviation is 0.0707, the one of a whole population 0.05.
        ([0.5, 0.6], [0.61, 0.61], "That is less than the spread over the seeds"),
        ([0.5], [0.7], "One seed cannot tell"),
        ([0.5, 0.6], [0.8, 0.8], None),
    ],
)
def test_a_gain_that_may_be_chance_is_called_so(student, distilled, sentence):
    text = demo.table(runs_of(teacher=[0.9], student=student, distilled=distilled), 8, 60)
    cautions = [line for line in text.splitlines() if "chance" in line]
    assert len(cautions) == (sentence is not None)
    assert all(line.startswith(sentence) for line in cautions)
