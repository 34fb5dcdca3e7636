"""Configs with all sections of a training, and of a model of grey images, which tests change."""

FULL = """\
imports: [components]
iters: 10
batch_size: 4
model: {type: UserNet, num_classes: 2}
train_dataset: {type: UserData, transforms: []}
val_dataset: {type: UserData, transforms: []}
optimizer: {type: SGD}
lr_scheduler: {type: PolynomialDecay, learning_rate: 0.01}
loss: {types: [{type: CrossEntropyLoss}], coef: [1]}
distill_loss: {types: [{type: KLLoss}, {type: UserLoss}], coef: [1, 2]}
"""

GREY = """\
imports: [components]
num_classes: 2
model: {type: FCN, backbone: {type: MobileNetV2_x0_25}}
train_dataset: {type: Dataset, dataset_root: ., train_path: x, transforms: [], img_channels: 1}
val_dataset: {type: Dataset, dataset_root: ., val_path: x, transforms: [], img_channels: 1}
"""
