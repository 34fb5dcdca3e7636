"""Annotations of other tools to data sets: shapes to masks, lists, and a look at the result."""

from paddleseg.annotations.conversion import convert_coco, convert_labelme
from paddleseg.annotations.lists import summary
from paddleseg.annotations.overview import draw_overview
from paddleseg.annotations.recolour import convert_masks
from paddleseg.annotations.splitting import split_data_set
from paddleseg.annotations.to_labelme import masks_to_labelme
from paddleseg.annotations.voc import convert_voc

__all__ = [
    "convert_coco",
    "convert_labelme",
    "convert_masks",
    "convert_voc",
    "draw_overview",
    "masks_to_labelme",
    "split_data_set",
    "summary",
]
