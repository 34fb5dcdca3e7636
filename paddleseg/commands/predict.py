"""`predict.py --config CONFIG.yml --model_path W.pdparams --image_path photos`: masks of photographs."""

from paddleseg.commands import flags, process
from paddleseg.commands.parser import CommandParser
from paddleseg.options import ConfigChanges, PredictOptions
from paddleseg.options.inference import INFERENCE_KEYS


def main():
    parser = CommandParser(description="Masks of photographs, by one or several models.")
    parser.add_argument("--config", nargs="+", required=True, help="YAML files, one for each model")
    flags.add_options(parser, PredictOptions)
    flags.add_options(parser, ConfigChanges)
    flags.add_test_config_flags(parser, INFERENCE_KEYS, ("--aug_pred", "--aug_eval"))
    args = parser.parse_args()
    options = flags.options_from(args, PredictOptions)
    process.prepare()
    from paddleseg.core import runs
    from paddleseg.evaluation.photographs import prediction_config

    test_config = flags.test_config_from(args, INFERENCE_KEYS)
    runs.predict([prediction_config(path, args.opts, test_config) for path in args.config], options)
