"""Which outputs of several models are each other's counterparts."""


def counterparts(*models):
    """Return [(output of each model), ...] of what may be compared or joined, the main outputs first.

    Each output has its counterparts where all models give as many. Otherwise the auxiliary ones have none (a
    model may lack them, or give them in training alone), and the main outputs stand by themselves.

    Args:
        *models: lists of logits, the main ones first.
    """
    if len({len(outputs) for outputs in models}) > 1:
        return [tuple(outputs[0] for outputs in models)]
    return list(zip(*models))
