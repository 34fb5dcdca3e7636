"""`python slim/quant/ptq.py --config CONFIG.yml --model_path W.pdparams`: quantise a trained model."""

from paddleseg.commands import flags, process
from paddleseg.commands.parser import CommandParser
from paddleseg.options import ConfigChanges, PtqOptions

SECTIONS = ("model", "train_dataset", "val_dataset", "export")


def main():
    parser = CommandParser(description="Turn a trained model into 8-bit integers, without further training.")
    parser.add_argument("--config", required=True, help="YAML file")
    flags.add_options(parser, PtqOptions)
    flags.add_options(parser, ConfigChanges)
    args = parser.parse_args()
    options = flags.options_from(args, PtqOptions)
    process.prepare()
    from paddleseg.cvlibs import Config
    from paddleseg.quantization import quantize

    quantize(Config(args.config, opts=args.opts, sections=SECTIONS, required=SECTIONS[:3]), options)
