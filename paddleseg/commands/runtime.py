"""The process before Paddle is imported: settings that Paddle reads once, and traps that end in riddles."""

import contextlib
import importlib
import io
import os
import sys
import warnings
from importlib import metadata
from pathlib import Path

from paddleseg.errors import UserError, counted
from paddleseg.utils.cpu import PARENT, local_ranks, slow_in_mkl, usable_cores
from paddleseg.utils.logger import logger


def prepare():
    """Check the installation and set what makes Paddle fast; every command calls it first.

    Raises:
        UserError: an installation that cannot work, with the command that mends it.
    """
    check_installation()
    tune()
    hush()
    import_paddle()


def check_installation():
    """Refuse what would otherwise fail later and obscurely; warn of a second package of our name."""
    if int(metadata.version("numpy").split(".")[0]) >= 2:
        raise UserError(
            f"NumPy {metadata.version('numpy')} is installed, but OpenCV 4.6, which PaddleSlim pins, needs "
            f"1.x: pip install 'numpy<2'"
        )
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"OpenCV cannot be imported ({error}). On Debian or Ubuntu: apt-get install -y libgl1 "
            f"libglib2.0-0; or, without a display: pip uninstall -y opencv-python && pip install "
            f"opencv-python-headless==4.6.0.66"
        ) from None
    try:
        other = metadata.version("paddleseg")
    except metadata.PackageNotFoundError:
        return
    logger.warning(
        f"the distribution paddleseg {other} is installed beside paddleseg-distill, and both are imported "
        f"as `paddleseg`; this process uses {os.path.dirname(__file__)}. To be safe: pip uninstall paddleseg"
    )


def tune():
    """Choose what Paddle reads once, as it is imported, and tell what was chosen.

    What the user's environment says already stays, and with `PADDLESEG_TUNE=0` in it nothing is chosen.
    Paddle computes on one thread unless told. All cores are for it: processes that read data (--num_workers)
    need little of one beside a step on a CPU, and with a GPU these threads have little to do.
    """
    if os.environ.get("PADDLESEG_TUNE") == "0":
        return
    cores = usable_cores()
    ranks = local_ranks()
    among = f" among {ranks} processes" if ranks > 1 else ""
    settings = [("OMP_NUM_THREADS", str(max(1, cores // ranks)), f"{counted(cores, 'usable core')}{among}")]
    maker = slow_in_mkl()
    if maker:
        settings.append(("MKL_DEBUG_CPU_TYPE", "5", f"else MKL would not use AVX2 on a processor of {maker}"))
    chosen = [setting for setting in settings if setting[0] not in os.environ or _set_by_launcher(setting[0])]
    os.environ.update({name: value for name, value, _ in chosen})
    if chosen:
        told = ", ".join(f"{name}={value} ({why})" for name, value, why in chosen)
        logger.info(f"set for Paddle's speed: {told}; PADDLESEG_TUNE=0 sets nothing")


def _set_by_launcher(name, process=f"/proc/{PARENT}"):
    """Tell whether a variable came into the environment by `paddle.distributed.launch`, not by the user.

    The launcher imports Paddle, which writes OMP_NUM_THREADS=1 where nothing is said, and its ranks inherit
    that. What the launcher itself was started with tells.

    Args:
        name: a variable.
        process: what Linux tells of the process that started this one.
    """
    if "PADDLE_TRAINER_ID" not in os.environ:
        return False
    try:
        command, environment = (Path(process, file).read_bytes() for file in ("cmdline", "environ"))
    except OSError:
        return False
    launched = b"paddle.distributed.launch" in command or b"fleetrun" in command
    return launched and not any(pair.startswith(f"{name}=".encode()) for pair in environment.split(b"\0"))


def hush():
    """Silence what libraries remark at start-up and ask nothing of the user; errors are still told."""
    # No ccache, batch norm tracks statistics; and what the hook of setuptools says of the order of imports.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"paddle\.|_distutils_hack")
    # PaddleSlim and VisualDL import it, and could not do without.
    warnings.filterwarnings("ignore", category=UserWarning, message="pkg_resources is deprecated")
    # Of the C++ side INFO and WARNING (the GPU's driver, ports that are listened on), not ERROR and FATAL.
    os.environ.setdefault("GLOG_minloglevel", "2")


def import_paddle():
    """Import Paddle without its warning against the OMP_NUM_THREADS that `tune` has chosen."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            importlib.import_module("paddle")
    finally:
        kept = [line for line in said.getvalue().splitlines(True) if "OMP_NUM_THREADS" not in line]
        sys.stderr.write("".join(kept))
