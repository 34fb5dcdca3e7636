import paddle
from architecture_tests import ArchitectureTests, Trunk, check_export
from refusal import refusal

from paddleseg.models import SegFormer
from paddleseg.models.backbones import MixVisionTransformer_B0


class FourMaps(Trunk):
    """A backbone of four maps, at strides 2 to 16."""

    feat_channels = (4, 6, 8, 8)


class TestSegFormer(ArchitectureTests):
    architecture = SegFormer
    backbone = FourMaps
    options = {"embedding_dim": 8}
    refused = [({"embedding_dim": 0}, "embedding_dim must be a whole number above 0, not 0")]

    def test_refuses_a_backbone_of_another_number_of_maps(self, capsys):
        message = refusal(capsys, lambda: SegFormer(2, Trunk(), 8))
        assert message == "SegFormer needs a backbone with four feature maps; Trunk has 5"

    def test_linear_layers_leave_their_grid(self):
        model = self.build()
        model(paddle.zeros([2, 3, 33, 47]))
        assert [getattr(model, f"linear_c{i}").grid for i in (1, 2, 3, 4)] == [
            (17, 24),
            (9, 12),
            (5, 6),
            (3, 3),
        ]


def test_an_exported_graph_on_its_own_backbone(tmp_path):
    check_export(SegFormer(2, MixVisionTransformer_B0(), 8), tmp_path)
