"""`python tools/cost.py --config CONFIG.yml [CONFIG.yml ...]`: print what models cost, by part."""

from paddleseg.commands import flags
from paddleseg.commands.parser import CommandParser
from paddleseg.options import CostOptions


def main():
    parser = CommandParser(description="Parameters, operations and latency of models, by part.")
    parser.add_argument("--config", required=True, nargs="+", help="YAML files")
    args, options = flags.parsed(parser, CostOptions)
    from paddleseg.cvlibs import Config
    from paddleseg.evaluation.cost import cost_table

    print("one multiplication and one addition are two FLOPs")
    for path in args.config:
        cfg = Config(path, sections=("model",), required=("model",))
        print("\n".join(cost_table(cfg, options)), flush=True)
