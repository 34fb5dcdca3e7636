"""One teacher or several, whose logits are joined into one list."""

import paddle
import paddle.nn.functional as F

from paddleseg.distill.outputs import counterparts, resize_to_smallest
from paddleseg.losses.checks import check_label
from paddleseg.losses.common import full_precision, log_softmax
from paddleseg.losses.labels import resize_label


class Teachers:
    """One teacher or several, whose logits are joined; a teacher without logits has features.

    Args:
        teachers: list of `Teacher`.
        weighting: how the logits of several teachers are joined: "mean", or "confidence", by
            `confidence_weights` at each pixel; None if no loss compares logits. Default "mean".
        ignore_index: label of pixels at which all teachers count alike. Default 255.
        logits_at: the size of the logits: "full", as the models return them, or "head", before their last
            upsampling. Default "full".

    Attributes:
        teachers: the same list.
    """

    def __init__(self, teachers, weighting="mean", ignore_index=255, logits_at="full"):
        self.teachers = teachers
        self._weighting = weighting
        self._ignore_index = ignore_index
        self._logits_at = logits_at

    @paddle.no_grad()
    def __call__(self, images, label=None, without_features=(), keys=None):
        """Return (list of logits, [{name or `Tap`: tensor} of each teacher]), without gradients.

        Args:
            images: N x 3 x H x W.
            label: M x H x W, int64, of the first M images; None if there is none. Default None.
            without_features: indices of the teachers whose features no loss compares in this iteration. Those
                of them whose logits no loss compares either are not run, and their dicts are empty. Default
                none.
            keys: as in `Teacher.at_head`. Default None.

        Returns:
            The list of logits is None if no loss compares logits.
        """
        with_logits = [self._weighting is not None and teacher.gives_logits for teacher in self.teachers]
        outputs = [
            teacher.at_head(images, keys) if compared or k not in without_features else ([], {})
            for k, (teacher, compared) in enumerate(zip(self.teachers, with_logits))
        ]
        features = [taps for _, taps in outputs]
        if self._weighting is None:
            return None, features
        size = images.shape[2:]
        logits = [
            teacher.upsampled(at_head, size) if self._logits_at == "full" else at_head
            for teacher, (at_head, _), compared in zip(self.teachers, outputs, with_logits)
            if compared
        ]
        if len(logits) == 1:
            return logits[0], features
        return [self._joined(same_output, label) for same_output in counterparts(*logits)], features

    def _joined(self, logits, label):
        """Return the logits N x C x H x W of one output, joined from those of each teacher."""
        if self._logits_at == "head":
            logits = resize_to_smallest(*logits)
        logits = paddle.stack(logits)
        weights = None
        if self._weighting == "confidence" and label is not None:
            if self._logits_at == "head":
                label = resize_label(label, logits.shape[3:])
            weights = confidence_weights(logits, label, self._ignore_index)
        return weighted_logits(logits, weights)


@full_precision
def confidence_weights(logits, label, ignore_index=255):
    """Return each teacher's weight at each pixel, which rises with its probability of the true class.

    After Zhang et al., "Confidence-Aware Multi-Teacher Knowledge Distillation", ICASSP 2022,
    https://arxiv.org/abs/2201.00007, which weights samples; here each pixel has weights. With p_k the
    probability that teacher k of K gives the true class, and L_k = -log p_k its cross entropy,

        w_k = 1 / (K - 1) * (1 - exp(L_k) / sum_j exp(L_j)),    exp(L_k) = 1 / p_k

    The weights sum to 1; with two teachers, w_1 = p_1 / (p_1 + p_2). Where the label is `ignore_index`, or
    an image has no label, w_k = 1 / K.

    Args:
        logits: K x N x C x ..., K > 1, floating; float16 and bfloat16 are computed in float32.
        label: M x ..., int64, of the first M <= N images.
        ignore_index: see above. Default 255.

    Returns:
        K x N x ..., float32 (float64 for float64 logits).

    Raises:
        UserError: the label does not fit the logits.
    """
    teachers, images, classes = logits.shape[:3]
    if label.shape[0] < images:
        unknown = paddle.full([images - label.shape[0], *label.shape[1:]], ignore_index, label.dtype)
        label = paddle.concat([label, unknown])
    check_label(logits[0], label)
    known = label != ignore_index
    # The loss of the task reports labels of classes that do not exist.
    true_class = paddle.where(known, label, paddle.zeros_like(label)).clip(0, classes - 1)
    true_class = true_class.unsqueeze(1).unsqueeze(0).expand([teachers, images, 1, *label.shape[1:]])
    cross_entropy = -paddle.take_along_axis(log_softmax(logits, axis=2), true_class, axis=2).squeeze(2)
    weights = (1 - F.softmax(cross_entropy, axis=0)) / (teachers - 1)
    return paddle.where(known.unsqueeze(0), weights, paddle.full_like(weights, 1 / teachers))


@full_precision
def weighted_logits(logits, weights=None):
    """Return the sum over the teachers of weight times logits, or their mean.

    Args:
        logits: K x N x C x ..., floating.
        weights: K x N x ...; None for the mean. Default None.

    Returns:
        N x C x ..., float32 (float64 for float64 logits).
    """
    return logits.mean(axis=0) if weights is None else (logits * weights.unsqueeze(2)).sum(axis=0)
