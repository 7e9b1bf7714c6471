"""
Several tests at a time, by pytest-xdist: see harness/parallel.py. Here and not beside the integration tests, because the
process that hands tests out to others collects none, and reads no conftest.py below this folder.
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "integration"))

from harness import isolation, parallel  # noqa: E402


def pytest_configure(config):
    isolation.become_subreaper()
    if not parallel.is_worker(config):
        parallel.make_lock()


def pytest_unconfigure(config):
    """What a worker process left that was killed with its test."""
    if not parallel.is_worker(config):
        isolation.kill_children()
        parallel.remove_lock()


def pytest_collection_modifyitems(config, items):
    if parallel.is_worker(config):
        parallel.longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return parallel.scheduler(config, log)
