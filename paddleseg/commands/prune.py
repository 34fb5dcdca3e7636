"""`prune.py --config STUDENT.yml --model_path W.pdparams`: prune a student, and train what remains."""

from paddleseg.commands import flags, process
from paddleseg.commands.distill import add_config_flags, drop_default_adaptors, teacher_configs
from paddleseg.commands.parser import CommandParser
from paddleseg.commands.train import add_training_flags, training_config
from paddleseg.options import PruneOptions


def main(distill_config=None):
    """Run the command.

    Args:
        distill_config: the default of `--distill_config`; None for no such file. Default None.
    """
    parser = CommandParser(
        description="Remove filters of a trained student, and train what remains. Needs Paddle 2.6.2."
    )
    add_config_flags(
        parser, distill_config, needs_teacher=False, student_names=("--config", "--student_config")
    )
    add_training_flags(parser, PruneOptions, leave_out=("iters",), hidden=("dry_run",))
    parser.add_argument(
        "--retraining_iters",
        type=flags.count,
        help="iterations of the retraining; overrides the config's iters; 0 only prunes",
    )
    args = parser.parse_args()
    drop_default_adaptors(args, distill_config)
    options = flags.options_from(args, PruneOptions)
    process.prepare()
    from paddleseg.pruning.filters import check_installed

    check_installed()  # before the configs are read
    from paddleseg.pruning import prune

    args.iters = args.retraining_iters or None
    student = training_config(args.student_config, args)
    teachers = teacher_configs(args.teacher_config or [], args.teacher_opts)
    prune(student, teachers, options, retrain=args.retraining_iters != 0)
