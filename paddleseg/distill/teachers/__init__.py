"""Frozen teachers: their outputs, the engines that compute these, and the cache that stores them."""

from paddleseg.distill.teachers.cache_setup import attach_caches
from paddleseg.distill.teachers.engine_choice import check_engine, choose_engines
from paddleseg.distill.teachers.engines import ENGINES, Engine, register_engine
from paddleseg.distill.teachers.joined_teachers import Teachers
from paddleseg.distill.teachers.onnx_engine import OnnxEngine
from paddleseg.distill.teachers.output_cache import stack_with_keys
from paddleseg.distill.teachers.teacher import Teacher
from paddleseg.distill.teachers.teacher_only import TeacherOnly, gives_logits, is_teacher_only
from paddleseg.distill.teachers.training_data import check_classes, check_range, renormalization

__all__ = [
    "ENGINES",
    "Engine",
    "OnnxEngine",
    "Teacher",
    "TeacherOnly",
    "Teachers",
    "attach_caches",
    "check_classes",
    "check_range",
    "check_engine",
    "choose_engines",
    "gives_logits",
    "is_teacher_only",
    "register_engine",
    "renormalization",
    "stack_with_keys",
]
