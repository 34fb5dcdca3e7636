"""Train a segmentation model: python train.py --config CONFIG.yml --save_dir output/run"""

from paddleseg.commands import process, train

if __name__ == "__main__":
    process.run(train.main)
