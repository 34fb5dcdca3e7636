"""Read files from elsewhere safely: weights, pickles, archives and downloads."""

from paddleseg.weights.load import load_weights, read_weights

__all__ = ["load_weights", "read_weights"]
