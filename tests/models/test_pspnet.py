from architecture_tests import ArchitectureTests

from paddleseg.models import PSPNet


class TestPSPNet(ArchitectureTests):
    architecture = PSPNet
    options = {"backbone_indices": (3, 4), "pp_out_channels": 8}
    outputs = (2, 2)
    stages = "two"
    wrong_indices = [(2, 3, 4)]
    refused = [
        ({"pp_out_channels": 0}, "pp_out_channels must be a whole number above 0, not 0"),
        ({"bin_sizes": (1, 0)}, "bin_sizes must hold whole numbers above 0, not [1, 0]"),
        ({"bin_sizes": ()}, "bin_sizes must hold at least one size"),
    ]


class TestPSPNetWithoutAuxiliaryLoss(TestPSPNet):
    options = {**TestPSPNet.options, "enable_auxiliary_loss": False}
    outputs = (1, 1)
