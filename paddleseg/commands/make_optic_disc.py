"""`python tools/make_optic_disc.py`: draw a synthetic stand-in for PaddleSeg's optic_disc_seg."""

from paddleseg.commands.parser import CommandParser

DESCRIPTION = "Draw a synthetic stand-in for PaddleSeg's optic_disc_seg, if that cannot be downloaded."


def main():
    parser = CommandParser(description=DESCRIPTION)
    parser.add_argument("--out", default="data/optic_disc_synthetic", help="folder (default: %(default)s)")
    for split, count in (("train", 267), ("val", 76), ("test", 38)):
        parser.add_argument(
            f"--{split}", type=int, default=count, help=f"pictures of {split} (default: %(default)s)"
        )
    parser.add_argument(
        "--size", type=int, default=256, help="side of a picture in pixels (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all pictures (default: %(default)s)")
    args = parser.parse_args()
    from paddleseg.datasets.synthetic import make_optic_disc

    made = make_optic_disc(**vars(args))
    print(f"{args.out}: {'synthetic set written' if made else 'already complete, left as it is'}")
