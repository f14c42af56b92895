"""What tests of objectives have in common."""

from small_batch import batch  # noqa: F401 - fixture
