"""The commands of tools/data: a data set from annotations, its division, and a look at its masks."""

from paddleseg.commands import flags
from paddleseg.commands.parser import CommandParser
from paddleseg.options import (
    ConfigChanges,
    ConversionOptions,
    DrawOptions,
    LabelmeOptions,
    MaskOptions,
    SplitOptions,
    VocOptions,
)

CHECKED = "Print what tools/check_dataset.py says of the result, and the sections to paste into a config."
STATUS = "Exit status: 0 if the files were written, 2 if something is wrong; then nothing was written."


def from_labelme():
    parser = _parser(f"Turn labelme's JSON files into a data set. {CHECKED}")
    parser.add_argument(
        "--annotation_path", nargs="+", required=True, help="JSON files, or folders with their subfolders"
    )
    _convert(parser, ConversionOptions, "convert_labelme")


def from_coco():
    parser = _parser(f"Turn a JSON file of COCO into a data set. {CHECKED}")
    parser.add_argument("--annotation_path", required=True, help="JSON file")
    _convert(parser, ConversionOptions, "convert_coco")


def from_voc():
    parser = _parser(f"Turn a folder in the layout of Pascal VOC into a data set. {CHECKED}")
    parser.add_argument(
        "--annotation_path",
        required=True,
        help="folder of JPEGImages, SegmentationClass and ImageSets/Segmentation, or of VOC2012",
    )
    _convert(parser, VocOptions, "convert_voc")


def split():
    parser = _parser(f"Divide a data set into train, val and test. {CHECKED}")
    parser.add_argument("--dataset_root", required=True, help="folder of the data set; the lists go there")
    args, options = flags.parsed(parser, SplitOptions)
    from paddleseg import annotations

    _print(annotations.split_data_set(args.dataset_root, options))
    _print(annotations.summary(args.dataset_root))


def to_labelme():
    parser = _parser("Write masks as polygons in labelme's JSON files, to correct them by hand.")
    parser.add_argument("--dataset_root", required=True, help="folder of the data set")
    parser.add_argument("--save_dir", required=True, help="folder of the files, absent or empty")
    args, options = flags.parsed(parser, LabelmeOptions)
    from paddleseg import annotations

    _print(annotations.masks_to_labelme(args.dataset_root, args.save_dir, options))


def convert_masks():
    parser = _parser("Turn masks in grey, with a palette or of colours into masks of class indices.")
    parser.add_argument("--mask_path", nargs="+", required=True, help="masks, folders, or lists of them")
    parser.add_argument("--save_dir", required=True, help="folder of the new masks, PNG files")
    args, options = flags.parsed(parser, MaskOptions)
    from paddleseg import annotations

    _print(annotations.convert_masks(args.mask_path, args.save_dir, options))


def draw():
    parser = _parser("Draw masks of a config's data set over their images, on one sheet.")
    parser.add_argument("--config", required=True, help="YAML file")
    flags.add_options(parser, ConfigChanges)
    args, options = flags.parsed(parser, DrawOptions)
    from paddleseg import annotations
    from paddleseg.cvlibs import Config

    cfg = Config(args.config, opts=args.opts, sections=(options.section,))
    _print(annotations.draw_overview(cfg, options))


def _convert(parser, options_class, name):
    """Run a conversion, the function `name` of `paddleseg.annotations`."""
    parser.add_argument("--save_dir", required=True, help="folder of the new data set, absent or empty")
    args, options = flags.parsed(parser, options_class)
    from paddleseg import annotations

    _print(getattr(annotations, name)(args.annotation_path, args.save_dir, options))
    _print(annotations.summary(args.save_dir))


def _parser(does):
    return CommandParser(description=does, epilog=STATUS)


def _print(lines):
    print("\n".join(lines), flush=True)
