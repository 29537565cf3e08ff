"""Which class a trained run takes images for: `python scripts/predict.py RUN IMAGE`."""

import sys

from convscope.predict import main

if __name__ == "__main__":
    sys.exit(main())
