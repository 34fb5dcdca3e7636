"""The folder of an INT8 model: `model.onnx` and the `deploy.yaml` by which `deploy/infer.py` runs it."""

import os

from paddleseg.exporting.deploy_file import deploy_section, write_deploy_section
from paddleseg.quantization import qdq
from paddleseg.utils.save_dir import file_digest


def write_int8_folder(folder, float_folder, folded, ranges, float_nodes=()):
    """Write the INT8 model of an exported one.

    Args:
        folder: where it goes; it is made if it is missing.
        float_folder: of the export in ONNX.
        folded: the file that `qdq.folded` made of it.
        ranges, float_nodes: as in `qdq.write_int8`.

    Raises:
        UserError: as `qdq.write_int8`.
    """
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, "model.onnx")
    qdq.write_int8(folded, target, ranges, float_nodes)
    changed = {"precision": "int8", "sha256": {"model": file_digest(target)}}
    write_deploy_section(folder, {**deploy_section(float_folder), **changed})
