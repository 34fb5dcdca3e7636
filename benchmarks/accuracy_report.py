"""The results of `accuracy.py` as a CSV file, a table and a plot."""

import csv
import os

import numpy as np

from paddleseg.report.tables import mean_text, share_of_gap

HEAD = ("method", "seeds", "mIoU", "over plain", "of the gap", "parameters")


def write(folder, results, plain):
    """Write `results.csv`, `table.md` and `plot.png` to a folder and return the table.

    Args:
        folder: an existing one.
        results: list of {'method', 'seed', 'miou', 'class_iou', 'parameters', 'seconds', ...}.
        plain: the name of the method that all others are compared with.
    """
    names = ("method", "seed", "miou", "parameters", "seconds")
    with open(os.path.join(folder, "results.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "class_iou"])
        for result in results:
            ious = " ".join(f"{iou:.4f}" for iou in result["class_iou"])
            writer.writerow([*(result[name] for name in names), ious])
    text = table(results, plain)
    with open(os.path.join(folder, "table.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    plot(os.path.join(folder, "plot.png"), by_method(results), plain)
    return text


def by_method(results):
    """Return {method: list of mIoU, one a seed}, in the order of the results."""
    scores = {}
    for result in results:
        scores.setdefault(result["method"], []).append(result["miou"])
    return scores


def table(results, plain):
    """Return a Markdown table: each method's mean and standard deviation, and its share of the gap."""
    scores = by_method(results)
    parameters = {result["method"]: result["parameters"] for result in results}
    base, teacher = scores.get(plain, []), scores.get("teacher", [])
    rows = [HEAD, ("---",) * len(HEAD)]
    for method, values in scores.items():
        over, share = "", ""
        if base and method not in (plain, "teacher"):
            over = f"{np.mean(values) - np.mean(base):+.4f}"
            recovered = share_of_gap(values, base, teacher)
            share = "" if recovered is None else f"{recovered:.0%}"
        rows.append(
            (method, str(len(values)), mean_text(values), over, share, f"{parameters[method] / 1e6:.2f} M")
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plot(path, scores, plain):
    """Draw a row for each method: every run as a dot, and their mean as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    methods = [method for method in scores if method != "teacher"]
    figure, axes = pyplot.subplots(figsize=(8, 0.35 * len(methods) + 1.6), layout="constrained")
    for row, method in enumerate(methods):
        color = "tab:gray" if method == plain else "tab:blue"
        axes.plot(scores[method], [row] * len(scores[method]), "o", color=color, alpha=0.6)
        axes.plot([np.mean(scores[method])] * 2, [row - 0.3, row + 0.3], color=color, linewidth=2)
    for name, color in ((plain, "tab:gray"), ("teacher", "tab:orange")):
        if name in scores:
            axes.axvline(np.mean(scores[name]), color=color, linestyle=":", label=f"mean of {name}")
    axes.set_yticks(range(len(methods)), methods)
    axes.invert_yaxis()
    axes.set_xlabel("mIoU on the validation images")
    axes.legend(loc="best", fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
