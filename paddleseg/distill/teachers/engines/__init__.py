"""What computes a frozen teacher's answers.

An engine is a callable: `engine(images) -> (list of logits, {name or Tap: tensor})`, images N x 3 x H x W
float32, the logits at the size at which the head gives them; its `name` is what --teacher_engine calls it.
"""

from paddleseg.distill.teachers.engines.onnx_engine import OnnxEngine
from paddleseg.distill.teachers.engines.paddle_engine import PaddleEngine

__all__ = ["OnnxEngine", "PaddleEngine"]
