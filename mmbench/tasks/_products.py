"""Products of one matrix with the vectors of all runs."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from mmbench.core.placement import Placement

# Rows are padded to a multiple of this length; otherwise the bits of a run would depend
# on its position among the runs.
ROW_MULTIPLE = 4


class Matrix:
    """A matrix that is the same for all runs.

    One product serves all runs: its rounding may depend on their number, but that is
    always the width of a chunk.

    Args:
        entries: the matrix, in float64 on the CPU.
        placement: device and dtype of the products.
    """

    def __init__(
        self, entries: Float[Tensor, "rows columns"], placement: Placement
    ) -> None:
        self.rows, self.columns = entries.shape
        below, right = -self.rows % ROW_MULTIPLE, -self.columns % ROW_MULTIPLE
        padded = pad(entries, (0, right, 0, below))
        self._entries = padded.to(placement.device, placement.dtype)

    def times(self, v: Float[Tensor, "runs columns"]) -> Float[Tensor, "runs rows"]:
        """Return the product with the vector of each run."""
        return _product(v, self._entries, self.rows)

    def transposed_times(
        self, v: Float[Tensor, "runs rows"]
    ) -> Float[Tensor, "runs columns"]:
        """Return the product of the transposed matrix with the vector of each run."""
        return _product(v, self._entries.T, self.columns)


def _product(v: Tensor, padded: Tensor, length: int) -> Tensor:
    """Return the first entries of the product of a padded matrix with each vector."""
    missing = padded.shape[1] - v.shape[1]
    product = (pad(v, (0, missing)) if missing else v) @ padded.T
    return product if product.shape[1] == length else product[:, :length]
