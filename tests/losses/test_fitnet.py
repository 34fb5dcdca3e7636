import numpy as np
from loss_reference import valid_mask, vectors
from loss_tests import MaskedLossTests

from paddleseg.losses import FitNetLoss


class TestFitNetLoss(MaskedLossTests):
    loss = FitNetLoss
    any_channels = False
    other_shapes = ((4, 3), (2, 3, 7))

    def formula(self, loss, student, teacher, label):
        valid = valid_mask(student, label)
        return ((vectors(student) - vectors(teacher))[valid] ** 2).mean() if valid.any() else np.zeros([])
