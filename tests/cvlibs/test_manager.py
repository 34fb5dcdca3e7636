import pytest
from refusal import refusal

from paddleseg import datasets, models, optimizers, transforms  # noqa: F401  they register themselves
from paddleseg.cvlibs import manager
from paddleseg.cvlibs.manager import ComponentManager
from paddleseg.errors import UserError


@pytest.fixture
def things():
    return ComponentManager("thing")


def test_a_decorated_class_is_found_by_name_and_unchanged(things):
    @things.add_component
    class Thing:
        pass

    assert things["Thing"] is Thing
    assert "Thing" in things
    assert "Other" not in things
    assert (list(things), len(things)) == (["Thing"], 1)
    assert repr(things) == "ComponentManager('thing': Thing)"


def test_functions_and_lists_of_components(things):
    def b():
        pass

    class A:
        pass

    given = [b, A]
    assert things.add_component(given) is given
    assert list(things) == ["A", "b"]
    things.add_component((A,))
    assert len(things) == 2


@pytest.mark.parametrize("item", [5, "Name", None, object()])
def test_only_classes_and_functions(things, item):
    with pytest.raises(TypeError, match="a thing must be a class or a function"):
        things.add_component(item)
    assert len(things) == 0


def test_a_name_is_taken_once(things):
    first = type("Same", (), {"__module__": "one"})
    second = type("Same", (), {"__module__": "two"})
    things.add_component(first)
    with pytest.raises(UserError, match="one has a thing named 'Same' already"):
        things.add_component(second)
    assert things["Same"] is first


def test_a_module_that_is_run_again_replaces_its_component(things):
    first = type("Same", (), {"__module__": "one"})
    again = type("Same", (), {"__module__": "one"})
    things.add_component(first)
    things.add_component(again)
    assert things["Same"] is again


def test_an_unknown_name_is_refused_with_the_nearest(capsys):
    message = refusal(capsys, lambda: manager.MODELS["deeplabv3"])
    assert message == "unknown model 'deeplabv3': did you mean 'DeepLabV3' or 'DeepLabV3P'?"


def test_an_unknown_name_in_an_empty_registry(things, capsys):
    assert refusal(capsys, lambda: things["x"]) == "unknown thing 'x': there is none to choose from"


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        (manager.MODELS, ["DeepLabV3", "DeepLabV3P", "FCN", "PPLiteSeg", "PSPNet", "UPerNet"]),
        (manager.BACKBONES, [f"ResNet{n}_vd" for n in (18, 34, 50, 101, 152)]),
        (manager.DATASETS, ["OpticDiscSeg", "Dataset"]),
        (
            manager.TRANSFORMS,
            [
                "Resize",
                "RandomHorizontalFlip",
                "RandomDistort",
                "RandomPaddingCrop",
                "ResizeStepScaling",
                "Normalize",
            ],
        ),
        (manager.LOSSES, ["CrossEntropyLoss", "KLLoss", "SegChannelwiseLoss"]),
        (manager.OPTIMIZERS, ["SGD", "Momentum", "Adam", "AdamW"]),
        (manager.LR_SCHEDULERS, ["PolynomialDecay"]),
    ],
)
def test_the_built_in_components_have_paddlesegs_names(registry, names):
    assert [registry[name].__name__ for name in names] == names
