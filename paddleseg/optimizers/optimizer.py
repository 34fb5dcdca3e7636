"""Optimizers as a config names them: made of hyperparameters, then called with the layer to train.

Beside their own hyperparameters, all of them take

- `weight_decay`: the coefficient of the L2 penalty (AdamW: of the decoupled decay), None for no decay;
- `grad_clip_cfg`: gradient clipping, see `clipping`;
- `custom_cfg`: factors of the learning rate and the weight decay by parts of the parameters' names, see
  `parameter_groups`;
- `decay_norm_and_bias`: False frees norms and biases from weight decay, see
  `parameter_groups`. Default True.

The first three are PaddleSeg's:

    optimizer:
      type: SGD
      momentum: 0.9
      weight_decay: 4.0e-5
      grad_clip_cfg: {name: ClipGradByGlobalNorm, clip_norm: 10}
      custom_cfg:
        - {name: backbone, lr_mult: 0.1}
        - {name: head, weight_decay_mult: 2}
      decay_norm_and_bias: false
"""

import math
from typing import Optional, Sequence

import paddle

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.optimizers.clipping import check_clipping, clipping
from paddleseg.optimizers.groups import check_custom_cfg, parameter_groups, warn_of_ignored

# Each hyperparameter is at least 0, and below this.
LIMITS = {"momentum": 1, "beta1": 1, "beta2": 1, "epsilon": math.inf, "weight_decay": math.inf}


class BaseOptimizer:
    """Holds the hyperparameters; `optimizer(layer, learning_rate)` returns Paddle's optimizer.

    Args:
        hyperparameters: dict of the keyword arguments of `paddle_class`, `weight_decay` among them.
        grad_clip_cfg: gradient clipping, a dict of `name` and its limits; None clips nothing. Default None.
        custom_cfg: learning rate and weight decay by parts of the parameters' names, a list of `name` and
            factors; None treats all alike. Default None.
        decay_norm_and_bias: False frees norms and biases from weight decay. Default True.

    Attributes:
        paddle_class: a class of `paddle.optimizer`; derived classes set it.

    Raises:
        UserError: a hyperparameter is out of its range, or a key of a `_cfg` is wrong.
    """

    paddle_class = None

    def __init__(self, hyperparameters, grad_clip_cfg, custom_cfg, decay_norm_and_bias):
        for name, value in hyperparameters.items():
            if name in LIMITS and value is not None and not 0 <= value < LIMITS[name]:
                upper = "" if LIMITS[name] == math.inf else f" and below {LIMITS[name]}"
                raise UserError(f"{name} must be 0 or above{upper}, not {value}")
        self.check_arguments(grad_clip_cfg, custom_cfg)
        warn_of_ignored(custom_cfg or [])
        # Paddle 2 refuses `weight_decay: 0`, since it is an int.
        self.hyperparameters = {k: float(v) if type(v) is int else v for k, v in hyperparameters.items()}
        self.grad_clip_cfg = grad_clip_cfg
        self.custom_cfg = custom_cfg
        self.decay_norm_and_bias = decay_norm_and_bias

    @staticmethod
    def check_arguments(grad_clip_cfg=None, custom_cfg=None, **_):
        """Raise `UserError` for a wrong key or number in either; the check of a config calls this too."""
        if grad_clip_cfg is not None:
            check_clipping(grad_clip_cfg)
        check_custom_cfg(custom_cfg or [])

    def __call__(self, layer, learning_rate):
        """Return the optimizer of those parameters of `layer` that are trained.

        Args:
            layer: a `paddle.nn.Layer`.
            learning_rate: a number or a `paddle.optimizer.lr.LRScheduler`.

        Raises:
            UserError: an item of `custom_cfg` applies to no parameter.
        """
        trained = [p for p in layer.parameters() if not p.stop_gradient]
        return self.paddle_class(
            learning_rate=learning_rate,
            parameters=parameter_groups(
                layer, self.hyperparameters["weight_decay"], self.custom_cfg, self.decay_norm_and_bias
            ),
            grad_clip=clipping(self.grad_clip_cfg, trained),
            **self.hyperparameters,
        )


@manager.OPTIMIZERS.add_component
class Momentum(BaseOptimizer):
    """Stochastic gradient descent with (Nesterov's) momentum.

    Args:
        momentum: the share of the last step that goes into the next, 0 or above and below 1. Default 0.9.
        use_nesterov: whether the momentum is Nesterov's. Default False.
        weight_decay: the coefficient of the L2 penalty; None for no penalty. Default None.
    """

    paddle_class = paddle.optimizer.Momentum

    def __init__(
        self,
        momentum: float = 0.9,
        use_nesterov: bool = False,
        weight_decay: Optional[float] = None,
        grad_clip_cfg: Optional[dict] = None,
        custom_cfg: Optional[Sequence[dict]] = None,
        decay_norm_and_bias: bool = True,
    ):
        hyperparameters = {"momentum": momentum, "use_nesterov": use_nesterov, "weight_decay": weight_decay}
        super().__init__(hyperparameters, grad_clip_cfg, custom_cfg, decay_norm_and_bias)


@manager.OPTIMIZERS.add_component
class SGD(BaseOptimizer):
    """Stochastic gradient descent; with a `momentum` above 0 the same as `Momentum`.

    Args:
        momentum: the share of the last step that goes into the next, 0 or above and below 1. Default 0.
        use_nesterov: whether the momentum is Nesterov's. Default False.
        weight_decay: the coefficient of the L2 penalty; None for no penalty. Default None.

    Raises:
        UserError: `use_nesterov` without a `momentum`, or as for every optimizer.
    """

    def __init__(
        self,
        momentum: float = 0.0,
        use_nesterov: bool = False,
        weight_decay: Optional[float] = None,
        grad_clip_cfg: Optional[dict] = None,
        custom_cfg: Optional[Sequence[dict]] = None,
        decay_norm_and_bias: bool = True,
    ):
        if use_nesterov and not momentum:
            raise UserError("use_nesterov needs a momentum above 0")
        self.paddle_class, hyperparameters = paddle.optimizer.SGD, {"weight_decay": weight_decay}
        if momentum:
            self.paddle_class = paddle.optimizer.Momentum
            hyperparameters.update(momentum=momentum, use_nesterov=use_nesterov)
        super().__init__(hyperparameters, grad_clip_cfg, custom_cfg, decay_norm_and_bias)


@manager.OPTIMIZERS.add_component
class Adam(BaseOptimizer):
    """Adam, Kingma and Ba, https://arxiv.org/abs/1412.6980.

    Args:
        beta1: decay of the mean of the gradients, 0 or above and below 1. Default 0.9.
        beta2: decay of the mean of their squares, 0 or above and below 1. Default 0.999.
        epsilon: added to the divisor, 0 or above. Default 1e-8.
        weight_decay: the coefficient of the L2 penalty; None for no penalty. Default None.
    """

    paddle_class = paddle.optimizer.Adam

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: Optional[float] = None,
        grad_clip_cfg: Optional[dict] = None,
        custom_cfg: Optional[Sequence[dict]] = None,
        decay_norm_and_bias: bool = True,
    ):
        hyperparameters = {"beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": weight_decay}
        super().__init__(hyperparameters, grad_clip_cfg, custom_cfg, decay_norm_and_bias)


@manager.OPTIMIZERS.add_component
class AdamW(Adam):
    """Adam with decoupled weight decay, Loshchilov and Hutter, https://arxiv.org/abs/1711.05101.

    Args:
        weight_decay: the coefficient of the decoupled decay, 0 or above. Default 0.01.
    """

    paddle_class = paddle.optimizer.AdamW

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        grad_clip_cfg: Optional[dict] = None,
        custom_cfg: Optional[Sequence[dict]] = None,
        decay_norm_and_bias: bool = True,
    ):
        super().__init__(beta1, beta2, epsilon, weight_decay, grad_clip_cfg, custom_cfg, decay_norm_and_bias)
