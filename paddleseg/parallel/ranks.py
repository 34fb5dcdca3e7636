"""Choose the device, seed the generators, and let the ranks of a job compute together."""

import os
import random

import numpy as np
import paddle
import paddle.distributed as dist

from paddleseg import onednn
from paddleseg.errors import UserError


def set_device(name, conv_engine="auto"):
    """Set the device of this process and connect it with the job's other ranks, if there are any.

    Args:
        name: "auto", "gpu" or "cpu"; under `paddle.distributed.launch` each rank takes its own GPU.
        conv_engine: what computes convolutions on a CPU, as `onednn.use_engine` takes it. Default "auto".

    Raises:
        UserError: "gpu" without a GPU, or with a Paddle built without GPU support.
    """
    gpus = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if name == "gpu" and not gpus:
        cuda = paddle.is_compiled_with_cuda()
        built = "sees none" if cuda else "is the CPU build, see README on GPU wheels"
        raise UserError(f"device gpu: Paddle {paddle.__version__} {built}; use device cpu or auto")
    on_gpu = name == "gpu" or (name == "auto" and gpus > 0)
    if not on_gpu:
        # Else the GPU build takes NCCL even for ranks that compute on the CPU.
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    paddle.set_device(f"gpu:{dist.ParallelEnv().device_id}" if on_gpu else "cpu")
    onednn.use_engine("paddle" if on_gpu and conv_engine == "auto" else conv_engine)
    if num_ranks() > 1 and not dist.is_initialized():
        dist.init_parallel_env()


def rank():
    """Return this process's number among the ranks, from 0."""
    return dist.get_rank()


def num_ranks():
    """Return the number of processes that train together."""
    return dist.get_world_size()


def on_cpu():
    """Tell whether this process computes on the CPU, where reading a tensor does not wait for a device."""
    return paddle.get_device().startswith("cpu")


def seed_iteration(seed, iteration):
    """Seed this rank's global generators for an iteration.

    Ranks draw different numbers inside the model, such as for dropout. Seeding each iteration leaves no
    state to save, and neither an evaluation nor a resume changes the numbers.
    """
    seed_everything(int(np.random.SeedSequence([seed, rank(), iteration]).generate_state(1)[0]))


def seed_everything(seed):
    """Seed Paddle's, NumPy's and Python's global generators."""
    paddle.seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def parallel_model(model, find_unused_parameters=False):
    """Return `model` itself, or with several ranks wrapped so that gradients are averaged.

    Args:
        model: a layer.
        find_unused_parameters: whether some parameters may get no gradient in an iteration; True costs time.
            Default False.
    """
    if num_ranks() == 1:
        return model
    return paddle.DataParallel(model, find_unused_parameters=find_unused_parameters)


def with_sync_batch_norm(model):
    """Return `model` with synchronised batch norm if ranks compute on GPUs; it has no CPU kernel."""
    if num_ranks() > 1 and paddle.get_device().startswith("gpu"):
        return paddle.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return model


def with_batch_norm_of_the_device(model):
    """Return `model` after giving it plain batch norm on a CPU, where Paddle has no synchronised one.

    Weights, statistics and names stay. Some models ask for `paddle.nn.SyncBatchNorm` by name.
    """
    if not paddle.get_device().startswith("cpu"):
        return model
    for layer in model.sublayers(include_self=True):
        if type(layer) is paddle.nn.SyncBatchNorm:
            layer.__class__ = paddle.nn.BatchNorm2D
    return model


def sum_over_ranks(tensor):
    """Return the sum of a tensor over all ranks."""
    if num_ranks() > 1:
        dist.all_reduce(tensor)
    return tensor


def least_over_ranks(tensor):
    """Return the minimum of a tensor over all ranks, element by element."""
    if num_ranks() > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.MIN)
    return tensor


def gathered(tensor):
    """Return the tensors of all ranks, stacked: ranks x the tensor's shape."""
    parts = []
    dist.all_gather(parts, tensor.detach())
    return paddle.stack(parts)


def most_over_ranks(number):
    """Return the maximum of the ranks' whole numbers, as an int."""
    if num_ranks() == 1:
        return number
    tensor = paddle.to_tensor([number], dtype="int64")
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return int(tensor)
