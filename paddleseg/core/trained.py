"""A config's model as it was trained."""

from paddleseg.errors import UserError
from paddleseg.utils.weights import load_weights


def trained_model(builder, model_path, purpose):
    """Return the model that a `SegBuilder` builds, with its weights and in eval mode.

    Args:
        builder: of the config.
        model_path: the weights; None leaves those that the config names as `model.pretrained`.
        purpose: what the weights are for, such as "export", for the message.

    Raises:
        UserError: there are no weights, or they are not the model's.
    """
    if model_path is None and not builder.cfg["model"].get("pretrained"):
        raise UserError(
            f"{builder.cfg.path}: no weights to {purpose}: give --model_path, or model.pretrained in the "
            f"config"
        )
    model = builder.model
    if model_path is not None:
        load_weights(model, model_path)
    model.eval()
    return model
