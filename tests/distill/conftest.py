import paddle
import pytest
import tiny


@pytest.fixture
def models():
    paddle.seed(4)
    student, teacher = tiny.TinyNet(), tiny.TinyNet()
    student.eval()
    return student, teacher
