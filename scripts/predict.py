"""Which class a trained run takes images for: `python scripts/predict.py RUN IMAGE`."""

from convscope.cli.entry import predict

if __name__ == "__main__":
    predict()
