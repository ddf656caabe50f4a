"""Draw an ensemble: python sample.py [OPTION=VALUE ...], see --help and the README."""

from flowlat.sample import main

if __name__ == "__main__":
    main()
