"""`python export.py --config CONFIG.yml --model_path W.pdparams`: export a model."""

from paddleseg.commands import flags
from paddleseg.commands.parser import CommandParser
from paddleseg.options import ConfigChanges, ExportOptions


def main():
    parser = CommandParser(description="Turn a trained model into a static graph to deploy.")
    parser.add_argument("--config", required=True, help="YAML file")
    args, options = flags.parsed(parser, ExportOptions, ConfigChanges)
    from paddleseg.cvlibs import Config
    from paddleseg.exporting.exporter import export

    sections = ("model", "val_dataset", "export")
    export(Config(args.config, opts=args.opts, sections=sections, required=("model",)), options)
