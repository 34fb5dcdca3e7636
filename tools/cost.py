"""What models cost, by part: python tools/cost.py --config CONFIG.yml [CONFIG.yml ...]"""

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from paddleseg import cli, runtime  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Parameters, operations and latency of models, by part.")
    parser.add_argument("--config", required=True, nargs="+", help="YAML files")
    parser.add_argument(
        "--input_shape",
        type=cli.positive,
        nargs=4,
        default=(1, 3, 512, 512),
        metavar=("N", "C", "H", "W"),
        help="default: 1 3 512 512",
    )
    parser.add_argument(
        "--repeats", type=cli.count, default=10, help="timed passes; 0 times none (default: 10)"
    )
    cli.add_device_flag(parser)
    args = parser.parse_args()
    runtime.prepare()
    print(
        f"input {' x '.join(map(str, args.input_shape))}; one multiplication and one addition are two FLOPs"
    )
    for config in args.config:
        print("\n".join(report(config, args)), flush=True)


def report(config, args):
    """Return the lines of one config's table."""
    import paddle

    from paddleseg.core import parallel
    from paddleseg.cvlibs import Config, SegBuilder
    from paddleseg.utils.cost import measure

    cfg = Config(config, opts=["model.pretrained=null"], sections=("model",), required=("model",))
    parallel.set_device(args.device)
    costs = measure(SegBuilder(cfg).model, list(args.input_shape), args.repeats)
    lines = [
        "",
        f"{config} ({paddle.get_device()})",
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
