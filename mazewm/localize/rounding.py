"""How much activations lose by being stored with fewer digits, measured while they are stored."""

import torch
from jaxtyping import Float
from torch import Tensor

# Of a dimension's standard deviation over tokens: the largest standard deviation of what float16
# changes. In trained models it was 0.0005 at most.
MOST_ROUNDING = 0.01


class Rounding:
    """What storing vectors in another precision changes of them, for each dimension.

    Large values in a dimension that varies little, such as those of a large bias, lose what varies;
    values beyond 65,504 overflow in float16."""

    def __init__(self) -> None:
        self.n = 0
        self.first: Tensor | None = None  # the first vector: sums of small numbers are exact
        self.sums: Tensor | None = None  # of values, their squares, errors and their squares

    def add(self, exact: Float[Tensor, "token d_model"], stored: Tensor) -> None:
        """Take further vectors into account."""
        if not len(exact):
            return
        # on the CPU, since some devices have no float64
        values, kept = exact.cpu().double(), stored.cpu().double()
        if self.first is None:
            self.first = values[:1]
        x, error = values - self.first, kept - values
        sums = torch.stack([part.sum(dim=0) for part in (x, x**2, error, error**2)])
        self.sums = sums if self.sums is None else self.sums + sums
        self.n += len(exact)

    @property
    def is_too_coarse(self) -> bool:
        """Whether in a dimension, the standard deviation of the errors is more than MOST_ROUNDING
        of that of the values. An error that is the same for all vectors does not count."""
        if self.sums is None:
            return False
        x, x2, error, error2 = self.sums / self.n
        # Not ``>``: after an overflow both are NaN.
        is_fine = error2 - error**2 <= MOST_ROUNDING**2 * (x2 - x**2)
        return not bool(is_fine.all())
