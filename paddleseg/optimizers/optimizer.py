"""Optimizers as a config names them: hyperparameters first, then called with what is trained.

Beside their own, all of them take

- `weight_decay`: the coefficient of the L2 penalty (AdamW: of the decoupled decay), None for none;
- `grad_clip_cfg`: gradient clipping, see `clipping`;
- `custom_cfg`: factors of the learning rate and the weight decay by parts of the parameters' names, see
  `parameter_groups`;
- `decay_norm_and_bias`: False frees norms and biases from weight decay, see there as well. Default True.

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
from paddleseg.optimizers.groups import check_custom_cfg, parameter_groups

# Each hyperparameter is at least 0, and below this.
LIMITS = {"momentum": 1, "beta1": 1, "beta2": 1, "epsilon": math.inf, "weight_decay": math.inf}


class BaseOptimizer:
    """Holds the hyperparameters; `optimizer(layer, learning_rate)` returns Paddle's optimizer.

    Args:
        paddle_class: a class of `paddle.optimizer`.
        grad_clip_cfg: gradient clipping, `name` and its limits; None for none. Default None.
        custom_cfg: learning rate and weight decay by parts of the parameters' names, a list of `name` and
            factors; None treats all alike. Default None.
        decay_norm_and_bias: False frees norms and biases from weight decay. Default True.
        **hyperparameters: what it is constructed with.

    Raises:
        UserError: a hyperparameter is out of its range, or a key of a `_cfg` is wrong.
    """

    def __init__(self, paddle_class, grad_clip_cfg, custom_cfg, decay_norm_and_bias, **hyperparameters):
        self.paddle_class = paddle_class
        for name, value in hyperparameters.items():
            if name in LIMITS and value is not None and not 0 <= value < LIMITS[name]:
                at_most = "" if LIMITS[name] == math.inf else f" and below {LIMITS[name]}"
                raise UserError(f"{name} must be 0 or above{at_most}, not {value}")
        self.check_arguments(grad_clip_cfg, custom_cfg)
        self.grad_clip_cfg = grad_clip_cfg
        self.custom_cfg = custom_cfg
        self.decay_norm_and_bias = decay_norm_and_bias
        # Paddle 2 takes `weight_decay: 0` for no number, since it is an int.
        self.hyperparameters = {k: float(v) if type(v) is int else v for k, v in hyperparameters.items()}

    @staticmethod
    def check_arguments(grad_clip_cfg=None, custom_cfg=None, **_):
        """Raise `UserError` for a wrong key or number in either; the config checker asks as well."""
        if grad_clip_cfg is not None:
            check_clipping(grad_clip_cfg)
        check_custom_cfg(custom_cfg or [])

    def __call__(self, layer, learning_rate):
        """Return the optimizer of the parameters of `layer` that are trained.

        Args:
            layer: a `paddle.nn.Layer`.
            learning_rate: a number or a `paddle.optimizer.lr.LRScheduler`.

        Raises:
            UserError: an item of `custom_cfg` is taken for no parameter.
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
class SGD(BaseOptimizer):
    """Stochastic gradient descent; with a `momentum` above 0, what `Momentum` is.

    Args:
        momentum: how much of the last step goes into the next, 0 or above and below 1. Default 0.
        use_nesterov: Nesterov's form of it. Default False.
        weight_decay: the coefficient of the L2 penalty; None for none. Default None.

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
        paddle_class = paddle.optimizer.Momentum if momentum else paddle.optimizer.SGD
        super().__init__(
            paddle_class,
            grad_clip_cfg,
            custom_cfg,
            decay_norm_and_bias,
            weight_decay=weight_decay,
            **({"momentum": momentum, "use_nesterov": use_nesterov} if momentum else {}),
        )


@manager.OPTIMIZERS.add_component
class Momentum(BaseOptimizer):
    """Stochastic gradient descent with (Nesterov's) momentum.

    Args:
        momentum: how much of the last step goes into the next, 0 or above and below 1. Default 0.9.
        use_nesterov: Nesterov's form of it. Default False.
        weight_decay: the coefficient of the L2 penalty; None for none. Default None.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        use_nesterov: bool = False,
        weight_decay: Optional[float] = None,
        grad_clip_cfg: Optional[dict] = None,
        custom_cfg: Optional[Sequence[dict]] = None,
        decay_norm_and_bias: bool = True,
    ):
        super().__init__(
            paddle.optimizer.Momentum,
            grad_clip_cfg,
            custom_cfg,
            decay_norm_and_bias,
            momentum=momentum,
            use_nesterov=use_nesterov,
            weight_decay=weight_decay,
        )


@manager.OPTIMIZERS.add_component
class Adam(BaseOptimizer):
    """Adam, Kingma and Ba, https://arxiv.org/abs/1412.6980.

    Args:
        beta1: decay of the mean of the gradients, 0 or above and below 1. Default 0.9.
        beta2: decay of the mean of their squares, 0 or above and below 1. Default 0.999.
        epsilon: added to the divisor, 0 or above. Default 1e-8.
        weight_decay: the coefficient of the L2 penalty; None for none. Default None.
    """

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
        super().__init__(
            paddle.optimizer.Adam,
            grad_clip_cfg,
            custom_cfg,
            decay_norm_and_bias,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
        )


@manager.OPTIMIZERS.add_component
class AdamW(BaseOptimizer):
    """Adam with decoupled weight decay, Loshchilov and Hutter, https://arxiv.org/abs/1711.05101.

    Args:
        beta1: decay of the mean of the gradients, 0 or above and below 1. Default 0.9.
        beta2: decay of the mean of their squares, 0 or above and below 1. Default 0.999.
        epsilon: added to the divisor, 0 or above. Default 1e-8.
        weight_decay: the coefficient of the decoupled decay, 0 or above. Default 0.01.
    """

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
        super().__init__(
            paddle.optimizer.AdamW,
            grad_clip_cfg,
            custom_cfg,
            decay_norm_and_bias,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
        )
