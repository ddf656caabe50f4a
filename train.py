"""Train a flow: python train.py [OPTION=VALUE ...], see --help and the README."""

from flowlat.train import main

if __name__ == "__main__":
    main()
