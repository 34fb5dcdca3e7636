"""`paddleseg-distill configs`: list the shipped configs, or copy them."""

import shutil
from pathlib import Path

from paddleseg.commands.parser import CommandParser
from paddleseg.errors import UserError, counted
from paddleseg.utils import shipped


def main():
    parser = CommandParser(description="List the shipped configs, or copy them to where you can edit them.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="list only paths that hold each of these")
    parser.add_argument(
        "--copy",
        metavar="DIR",
        help="copy all configs to DIR/configs, and a distill_config.py, for you to edit, to DIR; "
        "existing files are never overwritten",
    )
    args = parser.parse_args()
    if args.copy is None:
        for path in shipped.configs():
            if all(word in str(path) for word in args.words):
                print(path)
    elif args.words:
        raise UserError(
            f"--copy copies all configs, since they build on each other; leave out {args.words[0]}"
        )
    else:
        print(f"{counted(copy_to(args.copy), 'file')} copied to {args.copy}")


def copy_to(directory):
    """Copy the shipped configs to a folder.

    Args:
        directory: path of the folder, which is made if it is missing.

    Returns:
        The number of files that were not there yet.

    Raises:
        UserError: files there differ, or cannot be written. In the first case nothing is copied.
    """
    pairs = [(shipped.folder() / path, Path(directory, path)) for path in shipped.configs()]
    pairs.append((Path(shipped.distill_config()), Path(directory, "distill_config.py")))
    try:
        differing = [to for source, to in pairs if to.exists() and to.read_bytes() != source.read_bytes()]
        if differing:
            raise UserError(
                f"{directory} has other files of the same names, which would be overwritten, such as "
                f"{differing[0]}; name another folder"
            )
        new = [(source, to) for source, to in pairs if not to.exists()]
        for source, to in new:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)
    except OSError as error:
        raise UserError(f"cannot copy to {directory}: {error}") from error
    return len(new)
