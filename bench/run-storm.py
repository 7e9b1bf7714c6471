#!/usr/bin/python3
"""The reload storm of the tests for ten minutes: see tests/integration/harness/storm.py. The seed replays its actions."""
import random
import shutil
import sys

import common
from harness.storm import Storm


def main():
    options = common.arguments(__doc__, seconds=600, seed=0, actions=0, keep="").parse_args()
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 32)
    print(f"seed {seed}", flush=True)
    failure = None
    with common.place() as directory:
        storm = Storm(directory, seed, options.seconds, options.actions or None, {} if options.actions else None)
        try:
            storm.run()
        except AssertionError as error:
            failure = error
        finally:
            if options.keep:
                shutil.copytree(directory, options.keep, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "notify", "echo"))
            print(storm.report())
    if failure:
        print(failure, file=sys.stderr)
    sys.exit(1 if failure else 0)


if __name__ == "__main__":
    main()
