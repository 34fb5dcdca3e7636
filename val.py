"""Evaluate a model: python val.py --config CONFIG.yml --model_path output/run/best_model/model.pdparams"""

from paddleseg.commands import process, val

if __name__ == "__main__":
    process.run(val.main)
