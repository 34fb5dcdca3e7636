"""What the keys of a config mean that belong to no component: {key: (value, default, meaning)}."""

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
        "Inside a section: `False` drops what the bases say there.",
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
        "what the data set says",
        "Number of classes, handed to the model, the data sets and the losses that take it.",
    ),
    "ignore_index": (
        "a whole number",
        "255",
        "Mask value that no loss and no metric counts, handed to the data sets and losses that take it.",
    ),
    "skip_mismatched_weights": (
        "true or false",
        "False",
        "Weights of `model.pretrained` that have another shape than the model's are left out, each with a "
        "warning, instead of being refused.",
    ),
    "imports": (
        "a list of module names",
        "[]",
        "Modules to import, which register components of one's own. They are looked for in the working "
        "directory, beside the config and on `PYTHONPATH`, and their code is run.",
    ),
    "model": ("a model", NEEDED, "The model; its `backbone` is a component, too."),
    "train_dataset": ("a data set", NEEDED, "What is trained on; its `mode` is `train` if left out."),
    "val_dataset": ("a data set", "no evaluation", "What is evaluated on; its `mode` is `val` if left out."),
    "unlabeled_dataset": (
        "a data set",
        "none",
        "Images without masks, for `distill_train.py`; its `mode` is `test` if left out. "
        "See [Images without masks](distillation.md#images-without-masks).",
    ),
    "optimizer": ("an optimizer", NEEDED, "What updates the weights."),
    "lr_scheduler": ("a learning-rate schedule", NEEDED, "The learning rate over the iterations."),
    "loss": ("`types` and `coef`", NEEDED, "The task's losses: the model's outputs against the label."),
    "distill_loss": (
        "`types`, `coef` and `at`",
        "none",
        "Losses between the logits of student and teachers, for `distill_train.py`.",
    ),
    "distill": (
        "a section",
        "none",
        "Losses between features, and how teachers and unlabelled images take part, for `distill_train.py`.",
    ),
    "test_config": ("a section", "the whole image, once", "How images are inferred and measured."),
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
        "Of `distill_loss`: whether it compares logits at the size of the images or as the heads give them. "
        "See [Logits at the head](distillation.md#logits-at-the-head).",
    ),
}

DISTILL = {
    "features": ("a list", "[]", "Pairs of tensors and the losses between them; their keys are below."),
    "teacher_weighting": (
        "`mean` or `confidence`",
        "mean",
        "How the logits of several teachers are joined before `distill_loss` sees them.",
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
    "teacher": ("a tap", "what `student` says", "The teacher's tensor."),
    "weight": ("a number of 0 or above", "1", "The weight of the loss."),
    "connector": (
        "`none`, `auto` or a connector",
        "auto",
        "Brings the student's channels to the teacher's; `auto` is a `ConvBNConnector` where they differ.",
    ),
    "schedule": ("a section", "the whole weight throughout", "When the loss counts; its keys are below."),
    "teacher_index": ("a whole number of 0 or above", "0", "Which of several teachers."),
}

TAPS = {
    "output_of": (
        "a sublayer's dotted name",
        "",
        "The sublayer's output; so is a tap that is a text.",
    ),
    "input_of": ("a sublayer's dotted name", "", "The sublayer's first input."),
    "attr": ("a dotted name", "", "What `forward` leaves on the model, or on a sublayer, under that name."),
    "index": ("a whole number", "", "Which item, where the tensor is one of a list."),
}

SCHEDULE = {
    "start_iter": ("a whole number of 0 or above", "0", "Up to this iteration the loss rests."),
    "warmup_iters": ("a whole number of 0 or above", "0", "Over as many more its weight rises linearly."),
    "end_iter": ("a whole number above `start_iter`", "Null", "After this iteration `end_factor` holds."),
    "end_factor": ("a number of 0 or above", "0", "Multiplies the weight from then on; 0: it rests again."),
}

EXPORT = {
    "transforms": (
        "a list of transforms",
        "`val_dataset`'s",
        "What a deployed image goes through before the model.",
    ),
}

CLIPPING = {
    "name": (
        "`ClipGradByNorm`, `ClipGradByGlobalNorm` or `ClipGradByValue`",
        NEEDED,
        "Limits the norm of each parameter's gradient, the norm of all gradients together, or each number.",
    ),
    "clip_norm": ("a number above 0", NEEDED, "The largest norm, of the two that limit norms."),
    "max": ("a number", NEEDED, "The largest number, of `ClipGradByValue`."),
    "min": ("a number", "-max", "The smallest number, likewise."),
}

GROUPS = {
    "name": (
        "text",
        NEEDED,
        "Part of the names of the parameters that are meant; the first item that fits a parameter is taken.",
    ),
    "lr_mult": (
        "a number of 0 or above",
        "the model's own, 1 as a rule",
        "Factor of the learning rate.",
    ),
    "weight_decay_mult": ("a number of 0 or above", "1", "Factor of `weight_decay`."),
}
