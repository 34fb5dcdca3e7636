"""`python slim/quant/ptq.py --config CONFIG.yml --model_path W.pdparams`: quantise a trained model."""

from paddleseg.commands import flags
from paddleseg.commands.parser import CommandParser
from paddleseg.options import ConfigChanges, PtqOptions

SECTIONS = ("model", "train_dataset", "val_dataset", "export")


def main():
    parser = CommandParser(description="Turn a trained model into 8-bit integers, without further training.")
    parser.add_argument("--config", required=True, help="YAML file")
    args, options = flags.parsed(parser, PtqOptions, ConfigChanges)
    from paddleseg.cvlibs import Config
    from paddleseg.quantization import quantize

    quantize(Config(args.config, opts=args.opts, sections=SECTIONS, required=SECTIONS[:3]), options)
