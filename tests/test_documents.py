"""The documents: links lead somewhere, translations agree, and lists of keys are complete."""

import re
from pathlib import Path

import pytest
import yaml

from paddleseg.cvlibs import Config, paddleseg_keys

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PAIRS = [
    ("README.md", "README_CN.md"),
    ("docs/python.md", "docs/python_cn.md"),
    ("docs/tutorial.md", "docs/tutorial_cn.md"),
    ("docs/your_data.md", "docs/your_data_cn.md"),
    ("docs/models.md", "docs/models_cn.md"),
    ("docs/methods.md", "docs/methods_cn.md"),
    ("docs/paddleseg_files.md", "docs/paddleseg_files_cn.md"),
    ("docs/quantising.md", "docs/quantising_cn.md"),
]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def prose(path):
    return BLOCK.sub("", read(path))


def links(path):
    return [link for link in LINK.findall(prose(path)) if not link.startswith(("http:", "https:"))]


def anchors(path):
    """Return the anchors that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document):
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_folder_of_its_writers(document):
    assert not re.findall(r"(?<![\w.])/(?:work|tmp|root|home|opt)/", read(document))


def test_each_test_that_a_promise_names_is_there():
    for line in read("docs/reliability.md").splitlines():
        path = None
        for named, name in re.findall(r"`([\w/]*/?test_\w+\.py)?(?:::(\w+))?`", line):
            path = named or path
            test = ROOT / "tests" / (path or "")
            assert not (named or name) or test.is_file(), (named, name)
            assert not name or f"def {name}(" in test.read_text(encoding="utf-8"), (path, name)


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_have_the_same_commands_code_and_output(english, chinese):
    assert BLOCK.findall(read(english)) == BLOCK.findall(read(chinese))


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_have_the_same_links_and_pictures(english, chinese):
    def targets(path):
        return sorted(
            link
            for link in links(path)
            if not re.search(
                r"(README|python|tutorial|your_data|models|methods|paddleseg_files|quantising)\w*\.md$", link
            )
        )

    assert targets(english) == targets(chinese)


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_have_the_same_figures(english, chinese):
    def figures(path):
        rows = [line for line in prose(path).splitlines() if line.startswith("|")]
        return [re.findall(r"`[^`]+`|\d[\d.]*", row) for row in rows]

    assert figures(english) == figures(chinese)


@pytest.mark.parametrize(("readme", "translated"), [("README.md", ""), ("README_CN.md", "_cn")])
def test_the_table_of_documents_lists_each_document_once(readme, translated):
    rows = "\n".join(line for line in prose(readme).splitlines() if line.startswith("| ["))
    english = {path.name for path in ROOT.glob("docs/*.md") if not path.stem.endswith("_cn")}
    translations = {name: name.replace(".md", f"{translated}.md") for name in english}
    wanted = [new if (ROOT / "docs" / new).exists() else name for name, new in translations.items()]
    assert sorted(re.findall(r"\(docs/(\w+\.md)\)", rows)) == sorted(wanted)


def test_the_architecture_lists_the_rooms_in_the_order_that_is_checked():
    layers = re.search(r"^layers = \[(.*?)^\]", read("pyproject.toml"), re.MULTILINE | re.DOTALL)[1]
    table = "\n".join(
        re.findall(r"^\| (`[^|]*) \|", read("docs/architecture.md").split("## Rooms")[1], re.MULTILINE)
    )
    assert re.findall(r"`(\w+)`", table) == re.findall(r"\w+", layers)


def test_the_test_command_is_where_ci_looks_for_it():
    assert re.search(r"^python3 -m venv .*pytest", read("README.md"), re.MULTILINE)


@pytest.mark.parametrize("table", ["TOP_LEVEL", "OF_COMPONENTS", "OF_TEST_CONFIG"])
def test_every_refused_key_is_explained_to_users_of_paddleseg(table):
    text = read("docs/from_paddleseg.md")
    assert all(f"`{key}`" in text for key in getattr(paddleseg_keys, table))


def specs(path):
    """Yield the YAML blocks of a document that hold keys of distillation, for models of the project."""
    for _, language, code in BLOCK.findall(read(path)):
        dic = yaml.safe_load(code) if language == "yaml" else {}
        if ("distill" in dic or "distill_loss" in dic) and "imports" not in dic:
            yield dic


@pytest.mark.parametrize(("path", "count"), [("README.md", 1), ("docs/tutorial.md", 2)])
def test_the_yaml_of_a_document_is_accepted(path, count, tmp_path):
    student = ROOT / "configs/quick_start/deeplabv3p_resnet18_os8_optic_disc_512x512_1k_student.yml"
    configs = list(specs(path))
    assert len(configs) == count
    for dic in configs:
        config = tmp_path / "config.yml"
        config.write_text(yaml.safe_dump({**dic, "_base_": str(student)}), encoding="utf-8")
        Config(str(config))
