"""Export a model: python export.py --config CONFIG.yml --model_path output/run/best_model/model.pdparams"""

import argparse

from paddleseg import cli, flags


def main():
    parser = argparse.ArgumentParser(description="Turn a trained model into a static graph to deploy.")
    parser.add_argument("--config", required=True, help="YAML file")
    parser.add_argument("--model_path", help="weights; default: the config's model.pretrained")
    parser.add_argument("--save_dir", default="./output/inference_model", help="default: %(default)s")
    parser.add_argument(
        "--format",
        choices=("paddle", "onnx"),
        default="paddle",
        help="for Paddle Inference, or ONNX (default: %(default)s)",
    )
    parser.add_argument(
        "--output_op",
        choices=("argmax", "softmax", "none"),
        default="argmax",
        help="give classes, probabilities or logits (default: %(default)s); only of the latter two does "
        "deploy/infer.py make the very masks of predict.py at a photograph's own size",
    )
    parser.add_argument(
        "--input_shape",
        type=int,
        nargs=4,
        metavar=("N", "C", "H", "W"),
        help="-1 is any; default: -1 C -1 -1 with the C of the config's images",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        help="images, folders or lists to compare an ONNX file on, which alone is compared; default: the "
        "config's validation images",
    )
    parser.add_argument(
        "--max_images",
        type=flags.positive,
        default=20,
        help="how many of them at most (default: %(default)s)",
    )
    flags.add_config_flag(parser)
    args = parser.parse_args()
    cli.prepare()
    from paddleseg.core.export import export

    export(args)


if __name__ == "__main__":
    cli.run(main)
