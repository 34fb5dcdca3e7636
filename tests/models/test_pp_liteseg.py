import pytest
from architecture_tests import ArchitectureTests, without_gradient

from paddleseg.models import PPLiteSeg
from paddleseg.models.pp_liteseg import ARM_TYPES


class TestPPLiteSeg(ArchitectureTests):
    architecture = PPLiteSeg
    options = {"cm_out_ch": 8, "arm_out_chs": (6,), "seg_head_inter_chs": (4,)}
    outputs = (3, 1)
    stages = "at least two"
    wrong_indices = [(2,), (2, 3, 5)]
    refused = [
        ({"backbone_indices": (4, 3, 2)}, "backbone_indices must go from fine to coarse, not [4, 3"),
        ({"arm_type": "UAFM_SpAten"}, "unknown arm_type 'UAFM_SpAten'; did you mean 'UAFM_SpAtten'"),
        ({"cm_bin_sizes": ()}, "cm_bin_sizes must hold at least one size"),
        ({"cm_out_ch": 0}, "cm_out_ch must be a whole number above 0, not 0"),
        ({"arm_out_chs": (0,)}, "arm_out_chs must hold whole numbers above 0, not [0]"),
        (
            {"arm_out_chs": (6, 6)},
            "arm_out_chs must hold one number, or one for each of the 3 backbone_indices, not [6, 6]",
        ),
        ({"seg_head_inter_chs": ()}, "seg_head_inter_chs must hold one number, or one for each"),
    ]

    @pytest.mark.parametrize("arm_type", ARM_TYPES)
    def test_a_gradient_reaches_every_fusion(self, arm_type):
        assert without_gradient(self.build(arm_type=arm_type)) == []
