import math
import re

import pytest
import yaml
from refusal import refusal

from paddleseg.cvlibs.yaml_file import load_config, parse_value, quoted_path


def loaded(write, text, **files):
    for name, content in files.items():
        write(content, f"{name}.yml")
    return load_config(write(text))[0]


def refused(capsys, path):
    return refusal(capsys, lambda: load_config(path))


def test_values_and_where_they_were_written(write):
    dic, origins = load_config(write("a: 1\nb:\n  c: [x, {d: Null}]\n\n  e: true\n"))
    assert dic == {"a": 1, "b": {"c": ["x", {"d": None}], "e": True}}
    assert origins[("a",)] == "config.yml:1"
    assert origins[("b", "c")] == "config.yml:3"
    assert origins[("b", "c", 1, "d")] == "config.yml:3"
    assert origins[("b", "e")] == "config.yml:5"


def test_an_empty_file_is_an_empty_config(write):
    assert load_config(write("# nothing\n"))[0] == {}


def test_one_base_is_merged_key_by_key_and_lists_are_replaced(write):
    base = "a: {x: 1, y: {z: 2, w: 3}}\nl: [1, 2, 3]\nk: 4\n"
    own = "_base_: base.yml\na: {y: {z: 9}}\nl: [7]\n"
    assert loaded(write, own, base=base) == {"a": {"x": 1, "y": {"z": 9, "w": 3}}, "l": [7], "k": 4}


def test_of_several_bases_the_later_wins_and_the_file_over_all(write):
    dic = loaded(
        write,
        "_base_: [one.yml, two.yml]\nc: {p: 0}\n",
        one="a: 1\nb: 1\nc: {p: 1, q: 1, r: 1}\n",
        two="b: 2\nc: {p: 2, q: 2}\n",
    )
    assert dic == {"a": 1, "b": 2, "c": {"p": 0, "q": 2, "r": 1}}


def test_bases_nest_and_are_found_beside_the_file_that_names_them(write):
    write("a: 1\nb: 1\nc: 1\n", "bases/deep/root.yml")
    write("_base_: deep/root.yml\nb: 2\nc: 2\n", "bases/middle.yml")
    dic, origins = load_config(write("_base_: ../bases/middle.yml\nc: 3\n", "mine/config.yml"))
    assert dic == {"a": 1, "b": 2, "c": 3}
    assert [origins[(key,)] for key in "abc"] == [
        "bases/deep/root.yml:1",
        "bases/middle.yml:2",
        "mine/config.yml:2",
    ]


def test_two_ways_to_one_base_are_no_circle(write):
    dic = loaded(
        write,
        "_base_: [one.yml, two.yml]\n",
        root="r: 0\n",
        one="_base_: root.yml\na: 1\n",
        two="_base_: root.yml\nb: 2\n",
    )
    assert dic == {"r": 0, "a": 1, "b": 2}


def test_a_base_is_found_from_the_home_folder(write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write("a: 1\n", "elsewhere/base.yml")
    assert load_config(write("_base_: ~/elsewhere/base.yml\n", "x/config.yml"))[0] == {"a": 1}


def test_inherited_false_drops_only_that_section_of_the_base(write):
    base = "model: {type: A, keep: 1, inner: {x: 1}}\nother: {type: B, n: 1}\n"
    own = "_base_: base.yml\nmodel: {_inherited_: False, type: C}\nother: {n: 2}\n"
    assert loaded(write, own, base=base) == {"model": {"type": "C"}, "other": {"type": "B", "n": 2}}


def test_inherited_false_below_and_at_the_top(write):
    base = "model: {type: A, inner: {x: 1, y: 2}}\nn: 1\n"
    below = "_base_: base.yml\nmodel: {inner: {_inherited_: False, y: 3}}\n"
    assert loaded(write, below, base=base) == {"model": {"type": "A", "inner": {"y": 3}}, "n": 1}
    assert loaded(write, "_base_: base.yml\n_inherited_: False\nm: 2\n", base=base) == {"m": 2}


def test_inherited_true_and_inherited_without_a_base_leave_no_trace(write):
    own = "_base_: base.yml\nm: {_inherited_: True, b: 2}\nnew: {_inherited_: False, c: 3}\n"
    assert loaded(write, own, base="m: {a: 1}\n") == {"m": {"a": 1, "b": 2}, "new": {"c": 3}}


def test_a_dict_replaces_a_value_and_a_value_a_dict(write):
    own = "_base_: base.yml\na: {x: 1}\nb: 2\n"
    assert loaded(write, own, base="a: 5\nb: {y: 1}\n") == {"a": {"x": 1}, "b": 2}


def test_a_base_that_names_itself_is_refused(write, capsys):
    message = refused(capsys, write("_base_: config.yml\n"))
    assert message == "_base_ goes in a circle: config.yml -> config.yml"


def test_a_circle_of_bases_is_reported_as_a_whole(write, capsys):
    write("_base_: sub/b.yml\n", "a.yml")
    write("_base_: ../a.yml\n", "sub/b.yml")
    assert refused(capsys, "a.yml") == "_base_ goes in a circle: a.yml -> sub/b.yml -> a.yml"


def test_a_missing_base_is_reported_with_its_line(write, capsys):
    message = refused(capsys, write("iters: 1\n_base_: [none.yml]\n"))
    assert message == "config.yml:2: _base_: there is no file none.yml"


def test_a_base_missing_below_names_the_file_that_asks_for_it(write, capsys):
    write("_base_: gone.yml\n", "sub/base.yml")
    message = refused(capsys, write("_base_: sub/base.yml\n"))
    assert message == "sub/base.yml:1: _base_: there is no file sub/gone.yml"


@pytest.mark.parametrize("base", ["5", "{a: b}", "[1]", "true"])
def test_a_base_must_be_a_path(write, capsys, base):
    message = refused(capsys, write(f"a: 1\n_base_: {base}\n"))
    assert message == "config.yml:2: _base_ must be a path or a list of paths"


def test_an_empty_base_is_none(write):
    assert loaded(write, "_base_: Null\na: 1\n") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a' in lines 1 and 3"),
        ("m:\n  x: {k: 1, k: 2}\n", "'m.x.k' in lines 2 and 2"),
        ("l:\n  - type: A\n    size: 1\n    size: 2\n", "'l.0.size' in lines 3 and 4"),
        ("a: &x {k: 1, k: 2}\nb: *x\n", "'a.k' in lines 1 and 1"),
        ("a: 1\nm: {b: 1, b: 2}\na: 2\n", "'a' in lines 1 and 3; 'm.b' in lines 2 and 2"),
    ],
)
def test_duplicate_keys_are_refused(write, capsys, text, expected):
    assert refused(capsys, write(text)) == f"config.yml gives a key two values: {expected}"


def test_a_duplicate_key_in_a_base_names_the_base(write, capsys):
    write("m: {b: 1, b: 2}\n", "base.yml")
    message = refused(capsys, write("_base_: base.yml\n"))
    assert message == "base.yml gives a key two values: 'm.b' in lines 1 and 1"


def test_a_key_that_is_repeated_with_the_same_value_is_accepted(write):
    text = "m: {b: [1, {c: x}], b: [1, {c: 'x'}]}\nn: 1\nn: 1\nbase: &a {x: 1}\no: {<<: *a}\no: {x: 1}\n"
    dic, origins = load_config(write(text))
    assert dic == {"m": {"b": [1, {"c": "x"}]}, "n": 1, "base": {"x": 1}, "o": {"x": 1}}
    assert origins[("n",)] == "config.yml:3"


@pytest.mark.parametrize("text", ["a: 1\na: true\n", "a: 1\na: 1.0\n", "a: {b: 1}\na: {b: 1, c: 2}\n"])
def test_another_value_is_a_contradiction(write, capsys, text):
    assert refused(capsys, write(text)).endswith("gives a key two values: 'a' in lines 1 and 2")


def test_a_contradiction_within_a_repeated_section_is_reported_at_each_place(write, capsys):
    assert refused(capsys, write("m: {b: 1, b: 2}\nm: {b: 1, b: 2}\n")).count("'m.b'") == 2


def test_merge_keys_and_aliases(write):
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: *b\nd: {<<: [*b, {z: 5, x: 9}], w: 3}\n"
    dic, origins = load_config(write(text))
    assert dic["b"] == dic["c"] == {"x": 1, "y": 2}
    assert dic["d"] == {"x": 1, "y": 2, "z": 5, "w": 3}
    assert origins[("c", "y")] == "config.yml:2"


def test_what_an_alias_gives_is_a_copy(write):
    dic = loaded(write, "a: &a {x: [1]}\nb: *a\n")
    dic["a"]["x"].append(2)
    assert dic["b"] == {"x": [1]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E4", 1e4),
        ("-1e3", -1e3),
        ("+2e+3", 2e3),
        ("1.0e-4", 1e-4),
        ("1.5e4", 1.5e4),
        (".5e3", 500.0),
        ("1.e3", 1e3),
        ("0.01", 0.01),
        (".inf", math.inf),
        ("12", 12),
        ("-3", -3),
    ],
)
def test_numbers_are_numbers(write, text, value):
    got = loaded(write, f"a: {text}\n")["a"]
    assert (got, type(got)) == (value, type(value))
    assert parse_value(text) == got


@pytest.mark.parametrize("text", ["1e", "e5", "1e-", "v1e4", "1e4x", ".e3", "'1e-4'", "nan", "Nul"])
def test_what_is_no_number_stays_text(write, text):
    assert loaded(write, f"a: {text}\n")["a"] == text.strip("'")


@pytest.mark.parametrize("text", ["2020-13-45", "0b_", "!!int abc"])
def test_what_only_looks_like_a_value_is_refused(write, capsys, text):
    message = refused(capsys, write(f"x: 1\na: {text}\n"))
    assert message.startswith("config.yml is no valid YAML: ")
    assert "quote it if it is text" in message
    assert "line 2" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2\n", "line 2"),
        ("a: 1\n\tb: 2\n", "line 2"),
        ("a: 1\n---\nb: 2\n", "line 2"),
        ("a: *x\n", "undefined alias"),
        ("? [1, 2]\n: 3\n", "a key must be text, not [1, 2]"),
        ("1.5: 3\n", "a key must be text, not 1.5"),
        ("a: &a [*a]\n", "recursion"),
    ],
)
def test_invalid_yaml_is_reported_with_its_line(write, capsys, text, expected):
    message = refused(capsys, write(text))
    assert message.startswith("config.yml is no valid YAML: ")
    assert expected in message
    assert "\n" not in message


def test_a_file_cannot_run_code(write, capsys, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    message = refused(capsys, write(f"a: !!python/object/apply:os.rmdir ['{victim}']\n"))
    assert "python/object/apply" in message
    assert victim.exists()


def laughs(item):
    """Return YAML of 30 lines, each of which repeats the line before it nine times."""
    lines = [f"a0: &a0 {item}"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    return "\n".join(lines)


def merges():
    lines = ["a0: &a0 {" + ", ".join(f"k{i}: 1" for i in range(9)) + "}"]
    return "\n".join(lines + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (laughs("x"), "line 7, column .* 100000 values|holds more than 100000 values"),
        (laughs("{k: v}"), "holds more than 100000 values"),
        (merges(), "holds more than 1000 values"),
        ("a: &a {k: 1}\nb: {<<: [" + "*a, " * 2000 + "]}", "holds more than 1000 values"),
        ("a: &a [*a]", "is no valid YAML"),
        ("a: &a\n  b: *a", "is no valid YAML"),
        ("[" * 1500, "is no valid YAML"),
        ("a: '" + "x" * 2**20 + "'", "holds more than 1048576 characters"),
    ],
)
def test_a_few_lines_that_expand_to_far_more_are_refused(write, capsys, text, expected):
    assert re.search(expected, refused(capsys, write(text)))


def test_a_list_is_no_config(write, capsys):
    assert refused(capsys, write("- a\n- b\n")) == "config.yml must hold keys and values, not a list"


def test_a_file_that_is_not_there(write, capsys):
    assert refused(capsys, "none.yml") == "there is no config file none.yml"


def test_a_folder_and_a_picture_are_no_config(tmp_path, capsys):
    assert "cannot be read" in refused(capsys, str(tmp_path))
    (tmp_path / "x.yml").write_bytes(b"\x89PNG\xff\xfe")
    assert "cannot be read" in refused(capsys, str(tmp_path / "x.yml"))


def test_a_byte_order_mark_is_no_part_of_the_first_key(write):
    assert loaded(write, "\ufeffa: 1\n") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("None", None),
        ("Null", None),
        ("", None),
        ("~", None),
        ("False", False),
        ("'1'", "1"),
        ("[1, 2e-1]", [1, 0.2]),
        ("{a: b}", {"a": "b"}),
        ("a=b", "a=b"),
    ],
)
def test_values_of_the_command_line(text, value):
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["[1", "{a: 1, a: 2}", "2020-13-45", "=", "!!python/name:os.system"])
def test_values_of_the_command_line_that_are_none(text):
    with pytest.raises(yaml.YAMLError):
        parse_value(text)


@pytest.mark.parametrize(
    "path", ["/data/run", "/a: b/run", "/try #2/x", "/é 😀/{x}", '/a"b', "/x\\ny", "/1,2"]
)
def test_a_quoted_path_is_read_as_itself(path):
    assert parse_value(quoted_path(path)) == path


def test_a_path_that_needs_no_quotes_has_none():
    assert quoted_path("/data/my run") == "/data/my run"
