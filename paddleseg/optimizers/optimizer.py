"""Optimizers as a config names them: hyperparameters first, then called with what is trained.

`weight_decay` is the coefficient of the L2 penalty (AdamW: of the decoupled decay), None for none.
"""

import math
from typing import Optional

import paddle

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError

# Each hyperparameter is at least 0, and below this.
LIMITS = {"momentum": 1, "beta1": 1, "beta2": 1, "epsilon": math.inf, "weight_decay": math.inf}


class BaseOptimizer:
    """Holds the hyperparameters; `optimizer(layer, learning_rate)` returns Paddle's optimizer.

    Args:
        paddle_class: a class of `paddle.optimizer`.
        **hyperparameters: what it is constructed with.

    Raises:
        UserError: a hyperparameter is out of its range.
    """

    def __init__(self, paddle_class, **hyperparameters):
        self.paddle_class = paddle_class
        for name, value in hyperparameters.items():
            if name in LIMITS and value is not None and not 0 <= value < LIMITS[name]:
                at_most = "" if LIMITS[name] == math.inf else f" and below {LIMITS[name]}"
                raise UserError(f"{name} must be 0 or above{at_most}, not {value}")
        # Paddle 2 takes `weight_decay: 0` for no number, since it is an int.
        self.hyperparameters = {k: float(v) if type(v) is int else v for k, v in hyperparameters.items()}

    def __call__(self, layer, learning_rate):
        """Return the optimizer of the parameters of `layer` that are trained.

        Args:
            layer: a `paddle.nn.Layer`.
            learning_rate: a number or a `paddle.optimizer.lr.LRScheduler`.
        """
        trained = [p for p in layer.parameters() if not p.stop_gradient]
        return self.paddle_class(learning_rate=learning_rate, parameters=trained, **self.hyperparameters)


@manager.OPTIMIZERS.add_component
class SGD(BaseOptimizer):
    """Stochastic gradient descent; with a `momentum` above 0, what `Momentum` is."""

    def __init__(self, momentum: float = 0.0, weight_decay: Optional[float] = None):
        if momentum:
            super().__init__(paddle.optimizer.Momentum, momentum=momentum, weight_decay=weight_decay)
        else:
            super().__init__(paddle.optimizer.SGD, weight_decay=weight_decay)


@manager.OPTIMIZERS.add_component
class Momentum(BaseOptimizer):
    """Stochastic gradient descent with (Nesterov's) momentum."""

    def __init__(
        self,
        momentum: float = 0.9,
        use_nesterov: bool = False,
        weight_decay: Optional[float] = None,
    ):
        super().__init__(
            paddle.optimizer.Momentum,
            momentum=momentum,
            use_nesterov=use_nesterov,
            weight_decay=weight_decay,
        )


@manager.OPTIMIZERS.add_component
class Adam(BaseOptimizer):
    """Adam, Kingma and Ba, https://arxiv.org/abs/1412.6980."""

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: Optional[float] = None,
    ):
        super().__init__(
            paddle.optimizer.Adam,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
        )


@manager.OPTIMIZERS.add_component
class AdamW(BaseOptimizer):
    """Adam with decoupled weight decay, Loshchilov and Hutter, https://arxiv.org/abs/1711.05101."""

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(
            paddle.optimizer.AdamW,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
        )
