"""One rank of test_two_ranks.py: distils, then writes the weights that this rank holds and has measured."""

# ruff: noqa: I001  the package comes first, since it loads zlib before Paddle
import paddleseg  # noqa: F401

import json
import os
import sys

import distilling
import frozen_norm
import paddle
import tiny

from paddleseg.distill import step
from paddleseg.distill.auto_weights import AutoWeights

measured = {}


class Recorded(AutoWeights):
    def settle(self):
        super().settle()
        measured.update(self.values)


step.AutoWeights = Recorded
student, teacher, distill_file, save_dir, batch_size, accumulate = sys.argv[1:]
tiny.distill(
    student_config=student,
    teacher_config=[teacher],
    distill_config=distill_file,
    save_dir=save_dir,
    batch_size=int(batch_size),
    accumulate_steps=int(accumulate),
    save_interval=1,
    keep_checkpoint_max=20,
    allow_random_teacher=True,
)
rank = os.environ.get("PADDLE_TRAINER_ID", "0")
with open(os.path.join(save_dir, f"measured_{rank}.json"), "w", encoding="utf-8") as file:
    json.dump(measured, file)
held = {"model": frozen_norm.built[0], "connector": distilling.built[0]}
paddle.save(paddle.nn.LayerDict(held).state_dict(), os.path.join(save_dir, f"rank_{rank}.pdparams"))
