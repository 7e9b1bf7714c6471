"""Reloads of every kind at once, for a minute; see harness/storm.py. A failure names the seed, which replays it."""
import os
import random

import pytest

from harness.storm import Storm

pytestmark = pytest.mark.heavy


def weather(directory, seconds, **options):
    seed = int(os.environ.get("RELOADER_STORM_SEED") or random.SystemRandom().randrange(1 << 32))
    storm = Storm(directory, seed, seconds, **options)
    try:
        storm.run()
    finally:
        print(storm.report())


@pytest.mark.sanitized
@pytest.mark.limit(240)
def test_gale(directory):
    """Ten seconds, and as much of everything as fits in."""
    weather(directory, 10, minimum={})


@pytest.mark.slow
@pytest.mark.limit(420)
def test_storm(directory):
    """A minute: 100 commits, 50 failures, 20 superseded ones, 30 crashes at the least."""
    weather(directory, 60)
