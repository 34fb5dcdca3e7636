"""The filters of a model that PaddleSlim's pruners remove, for a time or for good."""

import contextlib
import logging

import paddle

from paddleseg.errors import UserError, one_line

PADDLE = "2.6.2"  # where PaddleSlim's pruners run
BACKUP = "_backup"  # how the names of PaddleSlim's buffers end


def check_installed():
    """Refuse to prune where PaddleSlim's pruners cannot run.

    Raises:
        UserError: with the Paddle that they need.
    """
    if not hasattr(paddle.base.dygraph.base, "_to_static_mode_guard_"):
        raise UserError(
            f"pruning needs Paddle {PADDLE}, and this is {paddle.__version__}, which lacks what PaddleSlim's "
            f"pruners call; prune in an environment of its own with paddlepaddle=={PADDLE}. This Paddle then "
            f"trains, evaluates and exports the pruned model"
        )


class Filters:
    """The filters of a model that can be removed.

    Args:
        model: a `paddle.nn.Layer` with its weights, in eval mode.
        shape: of an input, [N, C, H, W].
        criterion: "l1_norm" or "fpgm".
        align: each layer keeps a multiple of this number of filters.

    Attributes:
        counts: {layer: its number of filters} of the layers that can lose some. Layers that must lose the
            same filters, as at a residual sum, have one entry.

    Raises:
        UserError: PaddleSlim cannot read the model.
    """

    def __init__(self, model, shape, criterion, align):
        from paddleslim.dygraph import FPGMFilterPruner, L1NormFilterPruner

        self._model, self._align = model, align
        pruner = {"l1_norm": L1NormFilterPruner, "fpgm": FPGMFilterPruner}[criterion]
        with _paddleslim(model):
            # In training mode the auxiliary heads are there, too.
            model.train()
            self._pruner = pruner(model, list(shape))
        model.eval()
        masters = {one.master_name for one in self._pruner.collections if one.master_axis == 0}
        self._params = {
            name.rpartition(".")[0]: param
            for name, param in model.named_parameters()
            if param.name in masters
        }
        self.counts = {name: param.shape[0] for name, param in self._params.items()}
        if not self.counts:
            raise UserError(f"PaddleSlim finds no filter that it can remove from {type(model).__name__}")

    @contextlib.contextmanager
    def removed(self, shares):
        """Remove filters within a context.

        Args:
            shares: {layer: the share of its filters}; what is left is rounded to a multiple of `align`.
        """
        ratios = {self._params[name].name: self._aligned(name, share) for name, share in shares.items()}
        with _paddleslim(self._model):
            plan = self._pruner.prune_vars({name: ratio for name, ratio in ratios.items() if ratio}, 0)
        try:
            yield
        finally:
            plan.restore(self._model)

    def _aligned(self, name, share):
        count = self.counts[name]
        left = max(round((1 - share) * count / self._align), 1) * self._align
        return max(count - left, 0) / count


@contextlib.contextmanager
def _paddleslim(model):
    """Turn errors of PaddleSlim into one line, and hide its log, which lists hundreds of internal names."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if "paddleslim" in name]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:  # it raises whatever its graph does not foresee
        reason = f"{type(error).__name__}: {one_line(error)[:300]}"
        raise UserError(f"PaddleSlim's pruners cannot prune {type(model).__name__} ({reason})") from error
    finally:
        paddle.disable_static()  # which an error leaves enabled
        for one, level in zip(loggers, levels):
            one.setLevel(level)
