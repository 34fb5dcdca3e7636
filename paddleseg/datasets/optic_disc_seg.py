"""The data set of PaddleSeg's quick start: optic discs."""

import os
import tempfile
from pathlib import Path
from typing import Callable, Optional, Sequence

from paddleseg.cvlibs import manager
from paddleseg.datasets.dataset import MODES, Dataset
from paddleseg.errors import UserError

DEFAULT_ROOT = "data/optic_disc_seg"


@manager.DATASETS.add_component
class OpticDiscSeg(Dataset):
    """Fundus photographs with masks of the optic disc (1) on the background (0), from iChallenge-AMD.

    Another folder of the same layout works as well: `train_list.txt`, `val_list.txt` and `test_list.txt`;
    each line holds an image and a mask below the folder, separated by a space.

    Args:
        transforms: a list of transforms.
        dataset_root: the folder; data/optic_disc_seg below the working directory if None.
        mode: "train", "val" or "test", with the meaning that `Dataset` gives them.
        download: download the set from PaddleSeg's server if the folder is missing or empty.
        num_classes: 2.
        ignore_index: the mask value that no loss and no metric counts.

    Raises:
        UserError: the set is missing, and it is not or cannot be downloaded.
    """

    URL = "https://paddleseg.bj.bcebos.com/dataset/optic_disc_seg.zip"
    NUM_CLASSES = 2
    CLASS_NAMES = ("background", "optic disc")

    def __init__(
        self,
        transforms: Sequence[Callable],
        dataset_root: Optional[str] = None,
        mode: str = "train",
        download: bool = False,
        num_classes: int = NUM_CLASSES,
        ignore_index: int = 255,
    ):
        root = Path(DEFAULT_ROOT if dataset_root is None else dataset_root)
        if _missing(root):
            _download_or_refuse(root, self.URL if download else None)
        super().__init__(
            dataset_root=str(root),
            transforms=transforms,
            num_classes=num_classes,
            mode=mode,
            **{f"{mode}_path": str(root / f"{mode}_list.txt") for mode in MODES},
            ignore_index=ignore_index,
        )


def _missing(root):
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


def _download_or_refuse(root, url):
    """Download the set to `root`; raise `UserError` if that fails, or if `url` is None."""
    reason = "download is False"
    if url is not None:
        try:
            _download(url, root)
            return
        except (UserError, OSError) as error:
            reason = f"the download failed: {error}"
    # The remedy comes first, as the message of a failed connection is long.
    raise UserError(
        f"OpticDiscSeg: there is no data set in {str(root)!r}; a synthetic one is made by "
        f"`python tools/make_optic_disc.py --out {root}` ({reason})"
    )


def _download(url, root):
    # Imported here, as only a download needs these libraries.
    from filelock import FileLock

    from paddleseg.weights.archive import extract
    from paddleseg.weights.download import download

    root = Path(os.path.abspath(root))
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if not _missing(root):
            return
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as scratch:
            archive = download(url, Path(scratch, "archive"))
            unpacked = extract(archive, Path(scratch, "unpacked"))
            lists = sorted(unpacked.rglob("train_list.txt"))
            if not lists:
                raise UserError(f"{url} holds no train_list.txt")
            os.rename(lists[0].parent, root)
