"""A small folder of files in the shape of PaddleSeg's."""

FILES = {
    "__init__.py": "raise RuntimeError('nothing here imports the whole package')\n",
    "cvlibs/__init__.py": "from . import manager\n",
    "cvlibs/manager.py": "raise RuntimeError('the registries are those of the project')\n",
    "utils/__init__.py": "from .timer import TimeAverager\n",
    "utils/timer.py": "class TimeAverager:\n    count = 7\n",
    "models/__init__.py": "from .broken import Broken\n",
    "models/layers/__init__.py": "raise RuntimeError('the layers are those of the project')\n",
    "models/layers/extra_layers.py": """
import paddle.nn as nn
from paddleseg.models.layers import SyncBatchNorm

class Extra(nn.Layer):
    def __init__(self, channels):
        super().__init__()
        self.norm = SyncBatchNorm(channels)

    def forward(self, x):
        return self.norm(x)
""",
    "models/backbones/__init__.py": "",
    "models/backbones/lone.py": """
import paddle.nn as nn
from paddleseg.cvlibs import manager, param_init
from paddleseg.models import layers
from paddleseg.models.backbones.transformer_utils import *
from paddleseg.models.layers.extra_layers import Extra
from paddleseg.utils import logger, utils

class Lone(nn.Layer):
    def __init__(self, width=4, in_channels=3, pretrained=None):
        super().__init__()
        self.feat_channels = [width]
        self.conv = layers.ConvBNReLU(in_channels, width, 3, padding=1)
        self.extra = Extra(width)
        self.path = DropPath(0.0)
        param_init.constant_init(self.extra.norm.weight, value=0.5)
        utils.load_pretrained_model(self, pretrained)

    def forward(self, x):
        return [self.path(self.extra(self.conv(x)))]

@manager.BACKBONES.add_component
def Lone_S(**kwargs):
    return Lone(**kwargs)

@manager.BACKBONES.add_component
class ResNet18_vd(Lone):
    pass
""",
    "models/lonenet.py": """
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
from paddleseg import utils
from paddleseg.cvlibs import manager
from paddleseg.models.backbones.lone import Lone_S
from paddleseg.utils import TimeAverager

@manager.MODELS.add_component
class LoneNet(nn.Layer):
    def __init__(self, num_classes, backbone, align_corners=False, pretrained=None):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2D(backbone.feat_channels[0], num_classes, 1)
        self.align_corners = align_corners
        self.averaged = TimeAverager.count
        utils.load_entire_model(self, pretrained)

    def forward(self, x):
        logits = self.head(self.backbone(x)[0])
        return [F.interpolate(logits, paddle.shape(x)[2:], mode='bilinear', align_corners=self.align_corners)]

@manager.MODELS.add_component
class PSPNet(LoneNet):
    pass
""",
    "models/broken.py": """
from paddleseg.cvlibs import manager
import a_module_that_nobody_has

@manager.MODELS.add_component
class Broken:
    pass
""",
    "models/losses/__init__.py": "",
    "models/losses/halved_loss.py": """
import paddle.nn as nn
from paddleseg.cvlibs import manager
from ..losses import CrossEntropyLoss

@manager.LOSSES.add_component
class HalvedLoss(nn.Layer):
    def __init__(self, ignore_index=255):
        super().__init__()
        self.loss = CrossEntropyLoss(ignore_index=ignore_index)

    def forward(self, logits, label):
        return self.loss(logits, label) / 2
""",
    "transforms/functional.py": "def plus(image, amount):\n    return image + amount\n",
    "transforms/transforms.py": """
from paddleseg.cvlibs import manager
import paddleseg.transforms.functional as F

@manager.TRANSFORMS.add_component
class Brighten:
    def __init__(self, amount=1):
        self.amount = amount

    def __call__(self, data):
        data['img'] = F.plus(data['img'], self.amount)
        return data
""",
    "datasets/listed.py": """
import os
from paddleseg.cvlibs import manager
from paddleseg.datasets import Dataset
from paddleseg.transforms import Compose

@manager.DATASETS.add_component
class ListedData(Dataset):
    NUM_CLASSES = 2

    def __init__(self, transforms, dataset_root, mode='train', edge=False):
        self.dataset_root = dataset_root
        self.transforms = Compose(transforms)
        self.mode = mode
        self.num_classes = self.NUM_CLASSES
        self.ignore_index = 255
        self.file_list = []
        with open(os.path.join(dataset_root, f'{mode}_list.txt')) as lines:
            for line in lines:
                image, label = line.split()
                self.file_list.append([os.path.join(dataset_root, image), os.path.join(dataset_root, label)])
""",
}


def write_tree(folder, **changed):
    """Write the files to `folder`, some `changed` (`models__x` is "models/x.py"); return it as text."""
    files = {**FILES, **{name.replace("__", "/") + ".py": text for name, text in changed.items()}}
    for name, text in files.items():
        path = folder / "paddleseg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder)
