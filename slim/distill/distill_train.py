"""Train a student under a teacher:

python slim/distill/distill_train.py --teacher_config TEACHER.yml --student_config STUDENT.yml
"""

import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Run as a file, this sees its own folder alone; the package stands two above.
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from paddleseg import cli, training_flags  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Distil a teacher into a student.")
    parser.add_argument(
        "--teacher_config",
        "--teather_config",
        nargs="+",
        required=True,
        metavar="FILE.yml",
        help="YAML file with the teacher's model section and, as model.pretrained, its weights; several "
        "files are several teachers",
    )
    parser.add_argument("--student_config", required=True, help="YAML file of the student and its training")
    parser.add_argument(
        "--distill_config",
        default=os.path.join(HERE, "distill_config.py"),
        metavar="FILE.py",
        help="adaptors and feature losses (default: the distill_config.py beside this file)",
    )
    parser.add_argument(
        "--teacher_opts",
        nargs="*",
        action="append",
        metavar="KEY=VALUE",
        help="values of the teacher's config to change; of several teachers, give it once for each, in their "
        "order; --opts are the student's",
    )
    parser.add_argument(
        "--allow_random_teacher", action="store_true", help="accept a teacher without weights"
    )
    parser.add_argument(
        "--list_taps",
        action="store_true",
        help="print every tensor of the models that can be distilled, with its shape, and end",
    )
    training_flags.add_teacher_cache_flags(parser)
    training_flags.add_engine_flag(parser)
    training_flags.add_training_flags(parser)
    args = parser.parse_args()
    cli.prepare()
    from paddleseg.core import runs

    runs.distill(args)


if __name__ == "__main__":
    cli.run(main)
