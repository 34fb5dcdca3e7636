"""Which intermediate tensors to distil, and with which losses. As it stands, this file declares none.

Edit it, or pass a copy with `--distill_config`. The section `distill` of the student's config does the same
without code, see docs/distillation.md. Both can be combined.
"""

from paddleseg.distill import AdaptorBase


def prepare_distill_adaptor():
    """Return two classes: one names tensors of the student, one names tensors of the teacher."""

    class StudentAdaptor(AdaptorBase):
        def mapping_layers(self):
            mapping_layers = {}
            # The output of a sublayer, by the sublayer's dotted name:
            # mapping_layers["hidden_0"] = "head.aspp.conv_bn_relu"
            if self.add_tensor:
                # A tensor that `forward` has set on the model:
                # mapping_layers["hidden_1"] = self.model.logit_list
                pass
            return mapping_layers

    class TeacherAdaptor(AdaptorBase):
        def mapping_layers(self):
            mapping_layers = {}
            # mapping_layers["hidden_0"] = "head.aspp.conv_bn_relu"
            if self.add_tensor:
                # mapping_layers["hidden_1"] = self.model.logit_list
                pass
            return mapping_layers

    return StudentAdaptor, TeacherAdaptor


def prepare_distill_config():
    """Return a list of dicts, one for each pair of tensors. Further keys are passed to the loss.

    {
        "feature_type": "hidden",
        "s_feature_idx": 0,
        "t_feature_idx": 0,
        "loss_function": "SegChannelwiseLoss",
        "weight": 1.0,
        "temperature": 4.0,
    }
    """
    return []
