"""`distill_train.py --teacher_config T.yml --student_config S.yml`: train a student under teachers."""

from paddleseg.commands import flags, process
from paddleseg.commands.parser import CommandParser
from paddleseg.commands.train import add_training_flags, training_config
from paddleseg.errors import UserError, counted
from paddleseg.options import DistillOptions


def main(distill_config=None):
    """Run the command.

    Args:
        distill_config: the default of `--distill_config`; None for no such file. Default None.
    """
    parser = CommandParser(description="Distil a teacher into a student.")
    add_config_flags(parser, distill_config)
    parser.add_argument(
        "--list_taps",
        action="store_true",
        help="print every tensor of the models that can be distilled, with its shape, and end",
    )
    add_training_flags(parser, DistillOptions)
    args = parser.parse_args()
    options = flags.options_from(args, DistillOptions)
    process.prepare()
    from paddleseg.core import runs

    student = training_config(args.student_config, args)
    teachers = teacher_configs(args.teacher_config, args.teacher_opts)
    if args.list_taps:
        print(runs.taps_table(student, teachers, options), flush=True)
    else:
        runs.distill(student, teachers, options)


def add_config_flags(parser, distill_config, needs_teacher=True, student_names=("--student_config",)):
    """Add the flags that name the configs of a student and its teachers.

    Args:
        parser: a `CommandParser`.
        distill_config: the default of `--distill_config`; None for no such file.
        needs_teacher: whether `--teacher_config` must be given. Default True.
        student_names: spellings of the flag of the student's config.
    """
    parser.add_argument(
        "--teacher_config",
        "--teather_config",
        nargs="+",
        required=needs_teacher,
        metavar="FILE.yml",
        help="YAML file with the teacher's model section and, as model.pretrained, its weights; several "
        "files are several teachers"
        + ("" if needs_teacher else "; without it, labels alone train the student"),
    )
    parser.add_argument(
        *student_names,
        dest="student_config",
        required=True,
        metavar="FILE.yml",
        help="YAML file of the student and its training",
    )
    parser.add_argument(
        "--distill_config",
        default=distill_config,
        metavar="FILE.py",
        help="adaptors and feature losses (default: slim/distill/distill_config.py, which declares none)",
    )
    parser.add_argument(
        "--teacher_opts",
        nargs="*",
        action="append",
        metavar="KEY=VALUE",
        help="values of the teacher's config to change; with several teachers, give the flag once for each, "
        "in their order; --opts changes the student's config",
    )


def drop_default_adaptors(args, distill_config):
    """Without a teacher, drop the default of `--distill_config`, which is for teachers.

    Args:
        args: the parsed flags.
        distill_config: the default.
    """
    if not args.teacher_config and args.distill_config == distill_config:
        args.distill_config = None


def teacher_configs(paths, opts):
    """Return the checked `Config` of each teacher.

    Args:
        paths: YAML files.
        opts: a list of "a.b=value" for each flag `--teacher_opts`; None if the flag was not given.

    Raises:
        UserError: a config has mistakes, or the flags are not one for each teacher.
    """
    from paddleseg.cvlibs import Config

    groups = opts or []
    if len(paths) == 1:
        groups = [[opt for group in groups for opt in group]]
    elif groups and len(groups) != len(paths):
        raise UserError(
            f"--teacher_opts is given {counted(len(groups), 'time')} for {len(paths)} teachers; give it once "
            f"for each, in their order (without values it changes nothing)"
        )
    return [
        Config(path, opts=group, sections=("model",), required=("model",), as_teacher=True)
        for path, group in zip(paths, groups or [[]] * len(paths))
    ]
