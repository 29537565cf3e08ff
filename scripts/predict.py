"""Which class a trained run takes images for: `python scripts/predict.py RUN IMAGE`."""

from convscope.entry import predict

if __name__ == "__main__":
    predict()
