"""Each test of `loss_tests` runs with each case and shape of its class."""

import pytest

pytest.register_assert_rewrite("loss_tests")


def pytest_generate_tests(metafunc):
    for argument, values in (("case", "cases"), ("shape", "shapes")):
        if argument in metafunc.fixturenames and hasattr(metafunc.cls, values):
            metafunc.parametrize(argument, getattr(metafunc.cls, values), ids=str)
