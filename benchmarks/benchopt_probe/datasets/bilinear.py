import torch
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """A start for each repetition."""

    name = "Bilinear"

    def get_data(self):
        seed = self.get_seed(use_repetition=True)
        return {"start": torch.randn(2, generator=torch.Generator().manual_seed(seed))}
