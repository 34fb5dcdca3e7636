"""The name by which PaddleSeg's users know the losses; they live in `paddleseg.losses`."""

from paddleseg.losses import *  # noqa: F403
from paddleseg.losses import __all__  # noqa: F401
