"""Masks of photographs: python predict.py --config CONFIG.yml --model_path W.pdparams --image_path photos"""

from paddleseg.commands import predict, process

if __name__ == "__main__":
    process.run(predict.main)
