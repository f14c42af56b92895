"""Whose the rows of a batch are, where it holds those of several splits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn


class NotInRows(RuntimeError):
    """A module that several splits share was given something else than the batch's rows."""


@dataclass
class Rows:
    """The rows of the batch at hand: K splits, one after the other, equally many of each.

    Attributes:
        splits: K.
        count: K * B.
    """

    splits: int
    count: int = field(default=0, init=False)

    @contextmanager
    def counted(self, model: nn.Module) -> Iterator[None]:
        """In the block the rows are counted of whatever the model, or its encoder alone, is called with."""
        entrances = {model, model.get_encoder()} if model.config.is_encoder_decoder else {model}
        hooks = [entrance.register_forward_pre_hook(self._count, with_kwargs=True) for entrance in entrances]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        names = ("input_ids", "inputs_embeds", "decoder_input_ids", "decoder_inputs_embeds")
        given = next((kwargs[name] for name in names if kwargs.get(name) is not None), args[0] if args else None)
        if given is not None:
            self.count = len(given)

    def by_split(self, rows: Tensor, path: str) -> Tensor:
        """(K * B, ...) -> (K, B, ...).

        Args:
            path: of the module that was given them.

        Raises:
            NotInRows: these are not as many as the batch has, or not equally many of each split.
        """
        if len(rows) != self.count or self.count % self.splits:
            raise NotInRows(f"{path} is given {tuple(rows.shape)}, not the {self.count} rows of {self.splits} splits")
        return rows.unflatten(0, (self.splits, -1))
