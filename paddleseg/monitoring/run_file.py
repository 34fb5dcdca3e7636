"""`run.yml` in the folder of a training: what was trained, and how."""

import datetime
import os
import sys

import paddle
import yaml

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.utils.replace_file import replace_file

RUN_FILE = "run.yml"


def write_run_file(save_dir, cfg, seed, step_record):
    """Write `run.yml`, on rank 0 only.

    Args:
        save_dir: an existing folder.
        cfg: the `Config` of what is trained.
        seed: of the run.
        step_record: `Step.run_record()`, a dict for YAML.

    Raises:
        UserError: the file cannot be written.
    """
    if parallel.rank() != 0:
        return
    run = {
        "command": list(sys.argv),
        **step_record,
        "config_path": os.path.abspath(cfg.path) if os.path.isfile(cfg.path) else None,
        "config": cfg.dic,
        "seed": seed,
        "paddle": paddle.__version__,
        "device": paddle.get_device(),
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    path = os.path.join(save_dir, RUN_FILE)
    try:
        replace_file(path, yaml.dump(run, Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


class _WithoutAliases(yaml.SafeDumper):
    """Repeats a part that the config holds twice (`<<`, `_base_`), as people read it more easily."""

    def ignore_aliases(self, data):
        return True
