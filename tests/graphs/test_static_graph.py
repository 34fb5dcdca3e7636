"""A static graph of a layer: what Paddle cannot make is one line."""

import pytest
from paddle import nn

from paddleseg.errors import UserError
from paddleseg.graphs.static_graph import save_graph


class OfFullTiles(nn.Layer):
    def forward(self, x):
        if x.shape[2] % 32:
            raise RuntimeError("the height must be a multiple of 32")
        return x


class OfTwoLengths(nn.Layer):
    def forward(self, x):
        if x.mean() > 0:
            return x, x
        return x


@pytest.mark.parametrize("layer", [OfFullTiles(), OfTwoLengths()], ids=["error", "branches"])
def test_a_model_that_cannot_be_traced_is_refused(tmp_path, layer):
    layer.eval()
    with pytest.raises(UserError, match="the model cannot be made a static graph for the input"):
        save_graph(layer, str(tmp_path), [-1, 3, -1, -1])
