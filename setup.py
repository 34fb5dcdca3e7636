from setuptools import find_packages, setup

setup(
    name="paddleseg-distill",
    version="0.1.0",
    description="Distillation-first semantic segmentation on PaddlePaddle",
    python_requires=">=3.9,<3.13",
    packages=find_packages(include=["paddleseg", "paddleseg.*"]),
    install_requires=[
        # Distillation losses by name. It pins opencv-python==4.6.0.66, whose binary needs NumPy 1.x.
        "paddleslim==2.6.0",
        "decorator",  # imported by PaddleSlim, which forgets to declare it
        "numpy<2",
        "opencv-python==4.6.0.66",
        "pyyaml",
        "visualdl>=2.5.3",
        "pillow",  # reads masks with a palette as class indices; OpenCV turns them into colours
        "tqdm",  # the progress of downloads
        "requests",  # fetches data and weights
        "safetensors",  # reads weights in that format; instead of a parser of our own
        "filelock",  # one of several processes downloads, the others wait
        # Paddle imports it, and PaddleSlim its pkg_resources, which 82 has lost; Python 3.12 brings none.
        "setuptools<81",
    ],
    extras_require={
        "cpu": ["paddlepaddle>=2.6.2,<3.4"],
        "gpu": ["paddlepaddle-gpu>=2.6.2,<3.4"],
        "test": ["pytest", "pytest-xdist", "pytest-cov", "scikit-learn", "hypothesis", "ruff==0.17.6"],
    },
)
