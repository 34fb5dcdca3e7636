"""`paddleseg-distill infer`: run `deploy/infer.py`, an exported model without the training code."""

import runpy
import sys

from paddleseg.utils import shipped


def main():
    script = shipped.folder() / "deploy" / "infer.py"
    # The script reads the flags itself, and imports the files beside it.
    sys.argv = [str(script), *sys.argv[2:]]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")
