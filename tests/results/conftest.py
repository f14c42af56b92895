from made_up_cells import make_cell, papers_cells, written  # noqa: F401 - fixtures
