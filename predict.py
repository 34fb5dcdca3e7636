"""Masks of photographs: python predict.py --config CONFIG.yml --model_path W.pdparams --image_path photos"""

import argparse

from paddleseg import cli, flags


def main():
    parser = argparse.ArgumentParser(description="Masks of photographs, by one or several models.")
    parser.add_argument("--config", nargs="+", required=True, help="YAML files, one for each model")
    parser.add_argument(
        "--model_path", nargs="+", help="weights, one for each config; default: the configs' model.pretrained"
    )
    parser.add_argument(
        "--image_path",
        nargs="+",
        required=True,
        help="images, folders (without masks that lie beside photographs), or .txt lists of one 'image' or "
        "'image mask' a line",
    )
    parser.add_argument(
        "--save_dir", default="./output/result", help="where pictures go (default: %(default)s)"
    )
    parser.add_argument(
        "--save_probabilities", action="store_true", help="write each class's probability, too (.npz)"
    )
    parser.add_argument(
        "--custom_color",
        nargs="+",
        type=flags.count,
        metavar="N",
        help="red, green and blue of the first classes, 0..255, one after the other; black is not shown on "
        "overlays (default: of two classes the second is green, more are PASCAL VOC's)",
    )
    flags.add_device_flag(parser)
    flags.add_config_flag(parser)
    group = parser.add_argument_group("how images are inferred; wins over test_config")
    flags.add_inference_flags(group, "--aug_pred", "--aug_eval")
    args = parser.parse_args()
    cli.prepare()
    from paddleseg.core.predict import predict_images

    predict_images(args)


if __name__ == "__main__":
    cli.run(main)
