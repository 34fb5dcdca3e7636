"""Annotations of other tools to data sets: shapes to masks, lists, and a look at the result."""

from paddleseg.annotations.conversion import convert_coco, convert_labelme
from paddleseg.annotations.lists import summary

__all__ = ["convert_coco", "convert_labelme", "summary"]
