"""What differs between configs, by hand."""

from paddleseg.report.differences import differences, texts_by_key
from paddleseg.report.runs import read_runs


def test_only_what_differs_is_listed_with_the_value_of_each_run(made_up):
    one = made_up(
        "a", {"type": "N", "width": 4}, config={"iters": 10, "lr": {"end": 0.0, "on": True}}, seed=1
    )
    two = made_up(
        "b", {"type": "N", "width": 6}, config={"iters": 10, "lr": {"end": 0.0, "on": None}}, seed=2
    )
    assert differences(read_runs([one, two])) == [
        ("model.width", ["4", "6"]),
        ("lr.on", ["true", "null"]),
        ("seed", ["1", "2"]),
    ]


def test_an_added_transform_changes_no_other_key():
    flip, resize = {"type": "Flip", "prob": 0.5}, {"type": "Resize", "target_size": [96, 96]}
    before = texts_by_key({"transforms": [resize, {"type": "Normalize"}]})
    after = texts_by_key({"transforms": [flip, resize, {"type": "Normalize"}, flip]})
    assert before == {"transforms": "Resize, Normalize", "transforms.Resize.target_size": "[96, 96]"}
    assert after == {
        "transforms": "Flip, Resize, Normalize, Flip#2",
        "transforms.Flip.prob": "0.5",
        "transforms.Resize.target_size": "[96, 96]",
        "transforms.Flip#2.prob": "0.5",
    }


def test_a_value_without_a_type_is_shown_as_yaml():
    features = [{"student": "a.b", "loss": {"type": "L", "temperature": 4.0}, "weight": None}]
    text = "[{student: a.b, loss: {type: L, temperature: 4.0}, weight: null}]"
    assert texts_by_key({"features": features}) == {"features": text}


def test_teachers_and_the_distill_file_count_too(made_up):
    def distilled(name, weights, sha, width=4):
        model = {"type": "T", "width": width}
        teachers = [{"config": {"model": model, "iters": 3}, "weights": weights}]
        record = {"teachers": teachers, "distill_config": "d.py", "distill_config_sha256": sha}
        return made_up(name, role="distill", **record)

    folders = [made_up("plain"), distilled("a", "x", "12"), distilled("b", "y", "34")]
    assert dict(differences(read_runs(folders))) == {
        "teacher.weights": ["–", "x", "y"],
        "distill_config": ["–", "d.py", "d.py"],
        "distill_config (SHA-256)": ["–", "12", "34"],
    }
    rows = dict(differences(read_runs([*folders, distilled("c", "x", "12", width=6)])))
    assert rows["teacher.model.width"] == ["–", "4", "4", "6"]


def test_a_teacher_that_is_a_file_is_listed_with_its_path(made_up):
    model = {"type": "ONNXTeacher", "path": "t.onnx"}
    teachers = [{"config": {"model": model}, "weights": None}]
    folders = [made_up("plain"), made_up("a", role="distill", teachers=teachers)]
    assert dict(differences(read_runs(folders))) == {"teacher.weights": ["–", "t.onnx"]}


def test_the_keys_of_distillation_do_not_count_for_a_plain_run(made_up):
    config = {"distill_loss": {"coef": [2]}}
    plain, distilled = made_up("p", config=config), made_up("d", role="distill", config=config)
    assert differences(read_runs([plain, distilled])) == [("distill_loss.coef", ["–", "[2]"])]


def test_equal_runs_differ_in_nothing(made_up):
    assert differences(read_runs([made_up("a"), made_up("b")])) == []
