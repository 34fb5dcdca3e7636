"""Export a model: python export.py --config CONFIG.yml --model_path output/run/best_model/model.pdparams"""

from paddleseg.commands import export, process

if __name__ == "__main__":
    process.run(export.main)
