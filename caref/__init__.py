"""CAREF: calibration-aware regularisation for explanation faithfulness."""

__all__ = ["CarefLoss"]


def __getattr__(name: str):
    # Lazy, so that reading a command line (caref.config.schema) does not pay for importing torch.
    if name == "CarefLoss":
        from caref.objectives.objective import CarefLoss

        return CarefLoss
    raise AttributeError(f"module 'caref' has no attribute {name!r}")
