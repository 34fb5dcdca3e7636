"""Methods of distillation, compared with the plain student over seeds at equal time or equal iterations."""

from paddleseg.comparing.compare import compare

__all__ = ["compare"]
