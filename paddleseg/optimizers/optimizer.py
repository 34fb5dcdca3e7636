"""Optimizers as a config names them: hyperparameters first, then called with what is trained.

`weight_decay` is the coefficient of the L2 penalty (AdamW: of the decoupled decay), None for none.
"""

from typing import Optional

import paddle

from paddleseg.cvlibs import manager


class BaseOptimizer:
    """Holds the hyperparameters; `optimizer(layer, learning_rate)` returns Paddle's optimizer.

    Args:
        paddle_class: a class of `paddle.optimizer`.
        **hyperparameters: what it is constructed with.
    """

    def __init__(self, paddle_class, **hyperparameters):
        self.paddle_class = paddle_class
        self.hyperparameters = hyperparameters

    def __call__(self, layer, learning_rate):
        """Return the optimizer of the parameters of `layer` that are trained.

        Args:
            layer: a `paddle.nn.Layer`.
            learning_rate: a number or a `paddle.optimizer.lr.LRScheduler`.
        """
        trained = [p for p in layer.parameters() if not p.stop_gradient]
        return self.paddle_class(
            learning_rate=learning_rate, parameters=trained, **self.hyperparameters
        )


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
