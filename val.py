"""Evaluate a model: python val.py --config CONFIG.yml --model_path output/run/best_model/model.pdparams"""

import argparse

from paddleseg import cli, flags


def main():
    parser = argparse.ArgumentParser(description="Evaluate a segmentation model.")
    parser.add_argument("--config", required=True, help="YAML file")
    parser.add_argument("--model_path", help="weights; default: the config's model.pretrained")
    flags.add_device_flags(parser)
    flags.add_evaluation_flags(parser)
    flags.add_log_flag(parser)
    args = parser.parse_args()
    cli.prepare()
    from paddleseg.core import runs

    runs.validate(args)


if __name__ == "__main__":
    cli.run(main)
