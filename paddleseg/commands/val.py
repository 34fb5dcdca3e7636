"""`python val.py --config CONFIG.yml --model_path output/run/best_model/model.pdparams`: evaluate a model."""

from paddleseg.commands import flags, process
from paddleseg.commands.parser import CommandParser
from paddleseg.options import ConfigChanges, EvaluateOptions
from paddleseg.options.inference import EVALUATION_KEYS


def main():
    parser = CommandParser(description="Evaluate a segmentation model.")
    parser.add_argument("--config", required=True, help="YAML file")
    flags.add_options(parser, EvaluateOptions)
    flags.add_options(parser, ConfigChanges)
    flags.add_test_config_flags(parser, EVALUATION_KEYS)
    args = parser.parse_args()
    options = flags.options_from(args, EvaluateOptions)
    process.prepare()
    from paddleseg.core import runs
    from paddleseg.cvlibs import Config

    cfg = Config(
        args.config,
        opts=args.opts,
        sections=("model", "val_dataset", "test_config"),
        required=("model", "val_dataset"),
        test_config=flags.test_config_from(args, EVALUATION_KEYS),
    )
    runs.evaluate(cfg, options)
