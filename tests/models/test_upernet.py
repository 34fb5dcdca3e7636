from architecture_tests import ArchitectureTests

from paddleseg.models import UPerNet


class TestUPerNet(ArchitectureTests):
    architecture = UPerNet
    options = {"backbone_indices": (1, 2, 3, 4), "channels": 8, "enable_auxiliary_loss": True}
    outputs = (2, 2)
    stages = "at least three"
    wrong_indices = [(1, 2)]
    refused = [
        ({"channels": 0}, "channels must be a whole number above 0, not 0"),
        ({"dropout_prob": 1.0}, "dropout_prob must be 0 or above and below 1, not 1.0"),
    ]

    def test_the_layer_that_never_runs_is_not_trained(self):
        for key, p in self.build().named_parameters():
            running = key.endswith(("._mean", "._variance"))
            assert p.stop_gradient == (running or key.startswith("head.conv_last.")), key


class TestUPerNetWithoutAuxiliaryLoss(TestUPerNet):
    options = {"backbone_indices": (1, 2, 3, 4), "channels": 8}
    outputs = (1, 1)
    stages = "at least two"
    wrong_indices = [(1,)]
