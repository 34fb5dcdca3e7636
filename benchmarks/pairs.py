"""What a method gains on several pairs of models, in one picture.

python benchmarks/pairs.py "a: ResNet18_vd=output/camvid_resnet18" ... --output docs/images/pairs.png

Each folder is the --out of a tools/compare.py, whose table.md has the figures. NAME=TABLE,FOLDER joins a copy
of an earlier table with that of the folder: a method that both have has the figures of the last one.
"""

import argparse
import os
import re

METHODS = {
    "the default": "tab:blue",
    "KLLoss, coef 3": "tab:orange",
    "SegChannelwiseLoss on logits": "tab:purple",
    "FitNetLoss on five maps and DISTLoss on logits": "tab:green",
}
_INTERVAL = re.compile(r"([+-][\d.]+) \(([+-][\d.]+) to ([+-][\d.]+)\)")


def table_of(path):
    """Return the path of the table that a folder holds, or that is given itself."""
    return os.path.join(path, "table.md") if os.path.isdir(path) else path


def rows_of(path):
    """Return the rows of a table as dicts of text."""
    with open(table_of(path), encoding="utf-8") as file:
        lines = [line.strip().strip("|").split("|") for line in file if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return [dict(zip(head, row)) for row in rows]


def differences(paths):
    """Return {method: (difference, low, high)} of the rows at equal time of tables; the last table wins."""
    found = {}
    for row in (row for path in paths for row in rows_of(path)):
        interval = _INTERVAL.fullmatch(row["over plain, 95 % interval"])
        if interval and row["equal"] == "time":
            found[row["method"]] = tuple(map(float, interval.groups()))
    return found


def draw(pairs, path):
    """Draw for each pair and method the difference from the plain student, with its interval."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.6 * len(pairs) + 1.4), layout="constrained")
    of_pairs = [differences(paths) for paths in pairs.values()]
    shown = {method: color for method, color in METHODS.items() if any(method in found for found in of_pairs)}
    for y, found in enumerate(of_pairs):
        for k, (method, color) in enumerate(shown.items()):
            if method in found:
                offset = 0.2 * (k - (len(shown) - 1) / 2)
                middle, low, high = found[method]
                reach = [[middle - low], [high - middle]]
                axes.errorbar(middle, y + offset, xerr=reach, fmt="o", color=color, capsize=3)
    for method, color in shown.items():
        axes.plot([], [], "o", color=color, label=method)
    axes.axvline(0, color="tab:gray", linestyle=":")
    axes.set_yticks(range(len(pairs)), pairs)
    axes.set_ylim(-0.5, len(pairs) - 0.5)
    axes.invert_yaxis()
    axes.set_xlabel("mIoU over the student alone, at equal time, with its 95 % interval")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description="Draw what methods gain on several pairs of models.")
    parser.add_argument("pairs", nargs="+", metavar="NAME=FOLDER", help="or NAME=TABLE,FOLDER")
    parser.add_argument("--output", required=True, help="file of the picture")
    args = parser.parse_args()
    pairs = {}
    for pair in args.pairs:
        name, _, paths = pair.rpartition("=")
        paths = paths.split(",")
        if not name or not all(os.path.isfile(table_of(path)) for path in paths):
            parser.error(f"{pair}: it must be NAME=FOLDER, and FOLDER must hold the table.md of a comparison")
        if not differences(paths):
            parser.error(f"{pair}: its table has no row at equal time; compare by --match time")
        pairs[name] = paths
    draw(pairs, args.output)


if __name__ == "__main__":
    main()
