"""The keys of a config outside its components: {key: (value, default, meaning)}."""

NEEDED = "**required**"

FILES = {
    "_base_": (
        "a path or a list of paths",
        "",
        "Files that this one builds on, relative to it. A key of this file wins; of several bases the later "
        "wins; sections are merged key by key, everything else is replaced whole.",
    ),
    "_inherited_": (
        "true or false",
        "True",
        "Inside a section: `False` drops the keys that the bases have there.",
    ),
}

TOP_LEVEL = {
    "iters": ("a whole number above 0", NEEDED, "Iterations of the training; `--iters` wins."),
    "batch_size": (
        "a whole number above 0",
        NEEDED,
        "Images per iteration of one process; `--batch_size` wins. Evaluations have one in `test_config`.",
    ),
    "num_classes": (
        "a whole number above 0",
        "that of the data set",
        "Number of classes, passed to the model and to the data sets and losses that take it.",
    ),
    "ignore_index": (
        "a whole number",
        "255",
        "Mask value that no loss and no metric counts, passed to the data sets and losses that take it.",
    ),
    "skip_mismatched_weights": (
        "true or false",
        "False",
        "Skip weights of `model.pretrained` whose shape is not the model's, each with a warning, instead of "
        "refusing them.",
    ),
    "imports": (
        "a list of module names",
        "[]",
        "Modules to import, which register components of your own. They may lie in the working directory, "
        "beside the config or on `PYTHONPATH`. Their code runs.",
    ),
    "model": ("a model", NEEDED, "The model; its `backbone` is another component."),
    "train_dataset": ("a data set", NEEDED, "The data to train on; its `mode` is `train` by default."),
    "val_dataset": (
        "a data set",
        "no evaluation",
        "The data to evaluate on; its `mode` is `val` by default.",
    ),
    "unlabeled_dataset": (
        "a data set",
        "none",
        "Images without masks, for `distill_train.py`; its `mode` is `test` by default. "
        "See [Images without masks](distillation.md#images-without-masks).",
    ),
    "optimizer": ("an optimizer", NEEDED, "What updates the weights."),
    "lr_scheduler": ("a learning-rate schedule", NEEDED, "The learning rate over the iterations."),
    "loss": ("`types` and `coef`", NEEDED, "Losses between the model's outputs and the labels."),
    "distill_loss": (
        "`types`, `coef` and `at`",
        "none",
        "Losses between the logits of student and teachers, for `distill_train.py`.",
    ),
    "distill": (
        "a section",
        "none",
        "Losses between features, and the use of teachers and unlabelled images, for `distill_train.py`.",
    ),
    "test_config": ("a section", "the whole image, once", "How images are inferred and scored."),
    "export": ("a section", "", "What `export.py` writes into `deploy.yaml`."),
}

LOSSES = {
    "types": (
        "a list of losses",
        NEEDED,
        "One for each output of the model, the main one first; a single one serves all outputs.",
    ),
    "coef": ("a list of numbers of 0 or above", NEEDED, "The weight of each output's loss."),
    "at": (
        "`full` or `head`",
        "full",
        "For `distill_loss`: `full` compares logits at the size of the images, `head` those of the heads. "
        "See [Logits at the head](distillation.md#logits-at-the-head).",
    ),
}

DISTILL = {
    "features": ("a list", "[]", "Pairs of tensors and the losses between them; their keys are below."),
    "teacher_weighting": (
        "`mean` or `confidence`",
        "mean",
        "How the logits of several teachers are combined for `distill_loss`.",
    ),
    "unlabeled_share": (
        "a number above 0 and up to 1",
        "0.5",
        "Share of each batch that comes from `unlabeled_dataset`, to the nearest whole number of images.",
    ),
}

FEATURES = {
    "student": ("a tap", NEEDED, "The student's tensor."),
    "loss": ("a loss against the teacher", NEEDED, "The loss between the two tensors."),
    "teacher": ("a tap", "that of `student`", "The teacher's tensor."),
    "weight": ("a number of 0 or above", "1", "The weight of the loss."),
    "connector": (
        "`none`, `auto` or a connector",
        "auto",
        "Maps the student's channels to the teacher's; `auto` is a `ConvBNConnector` where they differ.",
    ),
    "schedule": (
        "a section",
        "the full weight throughout",
        "Changes the weight over the iterations; its keys are below.",
    ),
    "teacher_index": ("a whole number of 0 or above", "0", "Which of several teachers."),
}

TAPS = {
    "output_of": (
        "a sublayer's dotted name",
        "",
        "The sublayer's output. A tap that is a text means this.",
    ),
    "input_of": ("a sublayer's dotted name", "", "The sublayer's first input."),
    "attr": ("a dotted name", "", "An attribute that `forward` sets on the model or on a sublayer."),
    "index": ("a whole number", "", "Which item, if the tensor is in a list."),
}

SCHEDULE = {
    "start_iter": ("a whole number of 0 or above", "0", "Up to this iteration the loss is off."),
    "warmup_iters": (
        "a whole number of 0 or above",
        "0",
        "Over this many further iterations the weight rises linearly.",
    ),
    "end_iter": ("a whole number above `start_iter`", "Null", "After this iteration `end_factor` applies."),
    "end_factor": (
        "a number of 0 or above",
        "0",
        "Multiplies the weight after `end_iter`; 0 switches the loss off.",
    ),
}

EXPORT = {
    "transforms": (
        "a list of transforms",
        "`val_dataset`'s",
        "What is done to a deployed image before the model.",
    ),
}

CLIPPING = {
    "name": (
        "`ClipGradByNorm`, `ClipGradByGlobalNorm` or `ClipGradByValue`",
        NEEDED,
        "Limits the norm of each parameter's gradient, the norm of all gradients together, or each number.",
    ),
    "clip_norm": ("a number above 0", NEEDED, "The largest norm, for the two classes that limit norms."),
    "max": ("a number", NEEDED, "The largest number, for `ClipGradByValue`."),
    "min": ("a number", "-max", "The smallest number, for `ClipGradByValue`."),
}

GROUPS = {
    "name": (
        "text",
        NEEDED,
        "Part of the names of the parameters. A parameter takes the first item that fits.",
    ),
    "lr_mult": (
        "a number of 0 or above",
        "the model's own, usually 1",
        "Factor of the learning rate.",
    ),
    "weight_decay_mult": ("a number of 0 or above", "1", "Factor of `weight_decay`."),
}
