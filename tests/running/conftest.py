"""What tests of jobs have in common."""

from small_job import run  # noqa: F401 - fixture
