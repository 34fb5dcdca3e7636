"""Which intermediate tensors to distil, and by which losses. Edit this file, or pass a copy of it with
`--distill_config`. As it stands it adds nothing. The section `distill` of the student's config does the same
without code, see docs/distillation.md; both may be used together.
"""

from paddleseg.distill import AdaptorBase


def prepare_distill_adaptor():
    """Return two classes that name tensors of the student and of the teacher."""

    class StudentAdaptor(AdaptorBase):
        def mapping_layers(self):
            mapping_layers = {}
            # The output of a sublayer, by its dotted name:
            # mapping_layers["hidden_0"] = "head.aspp.conv_bn_relu"
            if self.add_tensor:
                # A tensor that the model's forward left on the model:
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
    """Return a list of dicts, one for each pair of tensors; any further key goes to the loss, as in

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
