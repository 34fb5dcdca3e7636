"""Which outputs of the student are compared with which of the teacher."""


def compared_outputs(student, teacher):
    """Return [(student's logits, teacher's logits), ...] of the outputs to compare, the main ones first.

    Each output is compared with its counterpart where both models give as many. Otherwise the auxiliary ones
    have none (one model may lack them, or give them in training alone), and the main outputs are compared.

    Args:
        student, teacher: lists of logits, the main ones first.
    """
    if len(student) != len(teacher):
        return [(student[0], teacher[0])]
    return list(zip(student, teacher))
