"""`qat.py --teacher_config T.yml --student_config S.yml`: train a student for INT8, and export it."""

from paddleseg.commands import flags, process
from paddleseg.commands.distill import add_config_flags, drop_default_adaptors, teacher_configs
from paddleseg.commands.parser import CommandParser
from paddleseg.commands.train import add_training_flags, training_config
from paddleseg.options import QatOptions

REFUSED = ("precision", "amp_level", "to_static_training")  # by `QatOptions`, except for their defaults


def main(distill_config=None):
    """Run the command.

    Args:
        distill_config: the default of `--distill_config`; None for no such file. Default None.
    """
    parser = CommandParser(
        description="Train a student with fake quantisation, under its teacher, and export it in INT8."
    )
    add_config_flags(parser, distill_config, needs_teacher=False)
    add_training_flags(parser, QatOptions, hidden=REFUSED)
    args = parser.parse_args()
    drop_default_adaptors(args, distill_config)
    options = flags.options_from(args, QatOptions)
    process.prepare()
    from paddleseg.quantization import qat

    student = training_config(args.student_config, args)
    qat.train(student, teacher_configs(args.teacher_config or [], args.teacher_opts), options)
