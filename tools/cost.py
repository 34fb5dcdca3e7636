"""What models cost, by part: python tools/cost.py --config CONFIG.yml [CONFIG.yml ...]"""

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from paddleseg import cli, flags  # noqa: E402
from paddleseg.errors import UserError, one_line  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Parameters, operations and latency of models, by part.")
    parser.add_argument("--config", required=True, nargs="+", help="YAML files")
    parser.add_argument(
        "--input_shape",
        type=flags.positive,
        nargs=4,
        metavar=("N", "C", "H", "W"),
        help="default: 1 C 512 512 with the C of the config's images",
    )
    parser.add_argument(
        "--repeats", type=flags.count, default=10, help="timed passes; 0 times none (default: 10)"
    )
    flags.add_device_flag(parser)
    args = parser.parse_args()
    cli.prepare()
    print("one multiplication and one addition are two FLOPs")
    for config in args.config:
        print("\n".join(report(config, args)), flush=True)


def report(config, args):
    """Return the lines of one config's table."""
    import paddle

    from paddleseg.core import parallel
    from paddleseg.cvlibs import Config, SegBuilder
    from paddleseg.cvlibs.said import image_channels, without_weights
    from paddleseg.utils.cost import measure

    cfg = Config(config, sections=("model",), required=("model",))
    without_weights(cfg["model"])
    parallel.set_device(args.device)
    shape = list(args.input_shape or (1, image_channels(cfg.dic), 512, 512))
    model = SegBuilder(cfg).model
    try:
        costs = measure(model, shape, args.repeats)
    except ValueError as error:  # what Paddle raises of shapes
        raise UserError(
            f"{config}: the model does not run on an input of {shape}: {one_line(error)[:300]}"
        ) from error
    lines = [
        "",
        f"{config}, input {' x '.join(map(str, shape))} ({paddle.get_device()})",
        f"{'part':<14} {'parameters':>12} {'GFLOPs':>10} {'ms':>10}",
    ]
    total = costs.pop("total")
    for part, cost in [*costs.items(), ("total", total)]:
        took = "" if cost.seconds is None else f"{1000 * cost.seconds:.1f}"
        lines.append(f"{part:<14} {cost.parameters:>12,} {cost.flops / 1e9:>10.3f} {took:>10}")
    if total.uncounted:
        lines.append(f"without the operations of {', '.join(total.uncounted)}, for which there is no formula")
    return lines


if __name__ == "__main__":
    cli.run(main)
