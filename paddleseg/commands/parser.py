"""The parser of every command's flags; it also answers those of PaddleSeg's flags that no command here has.

Imports nothing heavy, so that `--help` answers at once.
"""

import argparse
import sys
from typing import NamedTuple, Optional

from paddleseg.errors import UserError

PROGRAM = "paddleseg-distill"


class CommandParser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` of a command.

    Attributes:
        subcommand: the word after `paddleseg-distill` that chose the command; None for a script.
    """

    subcommand: Optional[str] = None

    def __init__(self, *args, **options):
        if self.subcommand is not None:
            options.setdefault("prog", f"{PROGRAM} {self.subcommand}")
        super().__init__(*args, **options)

    def parse_args(self, args=None, namespace=None):
        """Return the parsed flags.

        Raises:
            UserError: one of PaddleSeg's flags that has no effect here; the message says what to do instead.
        """
        if args is None:
            args = sys.argv[1:] if self.subcommand is None else sys.argv[2:]
        return super().parse_args(self._without_idle(list(args)), namespace)

    def _without_idle(self, words):
        """Return the words of a command line without flags of PaddleSeg that ask for what is done anyway."""
        left = []
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            refused = REFUSED.get(name[2:]) if name.startswith("--") else None
            if refused is None or name in self._option_string_actions:
                left.append(word)
                continue
            if not equals and words and not words[0].startswith("--"):
                value = words.pop(0)
            if value not in refused.idle:
                raise UserError(f"{name} is PaddleSeg's flag and has no effect here: {refused.reason}")
        return left


class Refused(NamedTuple):
    """A flag of PaddleSeg's that has no effect here.

    Attributes:
        reason: why, and what to do instead.
        idle: values that ask for what is done anyway. With these the flag is accepted, and dropped.
    """

    reason: str
    idle: tuple = ()


_FLOAT32 = "evaluation and prediction compute in float32; leave it out"
# By names without "--". A command that has a flag of the same name takes it.
REFUSED = {
    "amp_level": Refused(_FLOAT32, ("O1",)),
    "auto_tuned_shape_file": Refused("TensorRT is not used, so there are no shapes to tune; leave it out"),
    "benchmark": Refused(
        "--profile of a training times its steps and operators, tools/cost.py a model, and deploy/infer.py "
        "--benchmark an exported one",
        ("False",),
    ),
    "cfg": Refused("it is from before PaddleSeg 2.6; give --config"),
    "cpu_threads": Refused("the environment variable OMP_NUM_THREADS sets it"),
    "data_format": Refused("the models compute in NCHW alone; leave it out", ("NCHW",)),
    "device_id": Refused("the environment variable CUDA_VISIBLE_DEVICES selects a GPU; leave it out", ("0",)),
    "enable_auto_tune": Refused("TensorRT is not used; leave it out", ("False",)),
    "enable_mkldnn": Refused("the flag --conv_engine says what computes convolutions on a CPU", ("False",)),
    "for_fd": Refused(
        "FastDeploy reads other names: copy model.json, model.pdiparams and deploy.yaml of the export as "
        "inference.json, inference.pdiparams and inference.yml, and change the two names in inference.yml; "
        "Paddle before 3.0 writes model.pdmodel, for inference.pdmodel, and no model.json"
    ),
    "fp16": Refused("it is from before PaddleSeg 2.6; give --precision fp16"),
    "min_subgraph_size": Refused("TensorRT is not used; leave it out"),
    "model_name": Refused("it names a line of --benchmark, which does not exist; leave it out", ("",)),
    "precision": Refused(_FLOAT32, ("fp32",)),
    "print_detail": Refused("the report is always logged; leave it out", ("True",)),
    "profiler_options": Refused("give --profile N, which times N iterations and writes their trace"),
    "repeats": Refused(
        "an epoch shows each image once; more --iters show it more often, and in train_dataset a list with "
        "its lines repeated (train_path) shows some images more often than others",
        ("1",),
    ),
    "save_latest_only": Refused("--keep_checkpoint_max 1 keeps the newest checkpoint alone"),
    "use_mkldnn": Refused("the flag --conv_engine says what computes convolutions on a CPU", ("False",)),
    "use_multilabel": Refused("a pixel of a mask has one class; leave it out", ("False",)),
    "use_trt": Refused(
        "export.py --format onnx, then deploy/infer.py --providers tensorrt, computes by TensorRT",
        ("False",),
    ),
    "with_argmax": Refused("export.py --output_op argmax, the default, puts it into the exported model"),
    "with_softmax": Refused("it is from before PaddleSeg 2.6; give --output_op softmax"),
    "without_argmax": Refused("it is from before PaddleSeg 2.6; give --output_op none"),
}
