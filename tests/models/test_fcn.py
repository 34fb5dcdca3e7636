from architecture_tests import ArchitectureTests

from paddleseg.models import FCN


class TestFCN(ArchitectureTests):
    architecture = FCN
    stages = "one"
    wrong_indices = [(), (5,)]
    refused = [({"channels": 0}, "channels must be a whole number above 0, not 0")]
