"""Train a segmentation model: python train.py --config CONFIG.yml --save_dir output/run"""

import argparse

from paddleseg import cli, training_flags


def main():
    parser = argparse.ArgumentParser(description="Train a segmentation model.")
    parser.add_argument("--config", required=True, help="YAML file")
    training_flags.add_training_flags(parser)
    args = parser.parse_args()
    cli.prepare()
    from paddleseg.core import runs

    runs.train(args)


if __name__ == "__main__":
    cli.run(main)
