import pytest

pytest.register_assert_rewrite("architecture_tests", "backbone_tests")
