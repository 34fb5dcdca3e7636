"""The process before Paddle is imported: settings that Paddle reads once, and checks of the installation."""

import contextlib
import importlib.util
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
    """Check the installation and make Paddle fast; every command calls this first.

    Raises:
        UserError: the installation cannot work; the message has the command that repairs it.
    """
    check_installation()
    tune()
    hush()
    import_paddle()


def check_installation():
    """Refuse an installation that would fail later; warn of a second package with the same import name."""
    if int(metadata.version("numpy").split(".")[0]) >= 2:
        raise UserError(
            f"NumPy {metadata.version('numpy')} is installed, but OpenCV 4.6, which PaddleSlim pins, needs "
            f"1.x: pip install 'numpy<2'"
        )
    if importlib.util.find_spec("paddle") is None:
        raise UserError("Paddle is not installed: pip install '.[cpu]' or, for a GPU, see README")
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
    """Set the environment variables that Paddle reads when it is imported, and log them.

    Variables that the user has set stay. With `PADDLESEG_TUNE=0` nothing is set.

    By default Paddle computes on one thread. It gets all cores here: on a CPU, processes that read data need
    little of a core beside a step, and with a GPU these threads have little to do.
    """
    if os.environ.get("PADDLESEG_TUNE") == "0":
        return
    cores = usable_cores()
    ranks = local_ranks()
    among = f" among {ranks} processes" if ranks > 1 else ""
    settings = [("OMP_NUM_THREADS", str(max(1, cores // ranks)), f"{counted(cores, 'usable core')}{among}")]
    maker = slow_in_mkl()
    if maker:
        settings.append(
            ("MKL_DEBUG_CPU_TYPE", "5", f"without it MKL does not use AVX2 on a processor of {maker}")
        )
    chosen = [setting for setting in settings if setting[0] not in os.environ or _set_by_launcher(setting[0])]
    os.environ.update({name: value for name, value, _ in chosen})
    if chosen:
        settings = ", ".join(f"{name}={value} ({why})" for name, value, why in chosen)
        logger.info(f"set for Paddle's speed: {settings}; PADDLESEG_TUNE=0 sets nothing")


def _set_by_launcher(name, process=f"/proc/{PARENT}"):
    """Return whether `paddle.distributed.launch`, and not the user, has set a variable.

    The launcher imports Paddle, which sets OMP_NUM_THREADS=1 if it is not set, and its ranks inherit that.
    The environment that the launcher was started with shows who has set it.

    Args:
        name: a variable.
        process: the folder in which Linux describes the process that started this one.
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
    """Silence remarks of libraries at start-up that need no action; errors are still printed."""
    # Remarks about ccache, about statistics of batch norm, and about the order of imports.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"paddle\.|_distutils_hack")
    # PaddleSlim and VisualDL import it and cannot work without it.
    warnings.filterwarnings("ignore", category=UserWarning, message="pkg_resources is deprecated")
    # Of Paddle's C++ part: hides INFO and WARNING (GPU driver, open ports), keeps ERROR and FATAL.
    os.environ.setdefault("GLOG_minloglevel", "2")


def import_paddle():
    """Import Paddle, and hide its warning about the OMP_NUM_THREADS that `tune` has set."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            importlib.import_module("paddle")
    finally:
        lines = [line for line in printed.getvalue().splitlines(True) if "OMP_NUM_THREADS" not in line]
        sys.stderr.write("".join(lines))
