"""The tables against hand-worked cases; what is computed from them is in test_event_layers."""

import numpy as np
import torch
from torch import nn

from spikeprune.inference.event_tables import (
    PARTS,
    geometry_of,
    lane_table,
    obstacle,
    scatter_table,
)


def test_margins_and_sizes_of_a_padded_strided_convolution():
    g = geometry_of(nn.Conv2d(3, 8, (3, 1), stride=(2, 1), padding=(1, 0)), 5, (7, 4))
    assert (g.size, g.out_size, g.kernel) == ((7, 4), (4, 4), (3, 1))
    assert g.phases == 2  # even and odd rows
    assert g.margin == (1, 0)  # the last row of the kernel reaches one output back
    assert g.unfolded == (5, 4)
    assert g.summed == (5, 4)
    assert g.plane == 5 * 5 * 4


def test_neighbouring_rows_share_their_padding():
    g = geometry_of(nn.Conv2d(1, 1, 3, padding=1), 2, (4, 4))
    assert g.unfolded == (6, 5)  # not 6: the zero before a row is also the one behind the last
    assert g.padded_length == 6 * 2 * 5 + 6 + 16


def test_a_linear_layer_is_a_convolution_of_one_pixel():
    g = geometry_of(nn.Linear(6, 3), 4, ())
    assert (g.channels, g.out_channels, g.rows) == (6, 3, 4)
    assert g.size == g.out_size == g.kernel == g.unfolded == g.summed == (1, 1)


def test_lane_offsets_of_a_small_convolution():
    module = nn.Conv2d(2, 2, 2)
    weight = torch.zeros(2, 2, 2, 2)
    weight[0, 1, 0, 1], weight[1, 0, 1, 0], weight[1, 0, 0, 0] = 3.0, 5.0, 4.0
    g = geometry_of(module, 2, (3, 3))
    starts, offsets, values = lane_table(weight, 1, g)
    assert starts.tolist() == [0, 1, 3]
    # Planes of 3 rows x 2 slices x 3 columns: channel 1 begins at 18, the second row at 6.
    assert offsets.tolist() == [18 + 1, 0, 6]
    assert values.tolist() == [3.0, 4.0, 5.0]


def test_scatter_rows_hold_the_live_weights_of_a_channel_in_order_of_the_output():
    weight = torch.zeros(16, 2, 1, 1)
    weight[15, 1], weight[0, 1], weight[3, 0] = 1.0, 2.0, 3.0
    g = geometry_of(nn.Conv2d(2, 16, 1), 1, (2, 2))
    starts, offsets, values, channels = scatter_table(weight, 1, g)
    assert channels.tolist() == list(range(0, 17, 2))
    assert (starts[:, 0].tolist(), starts[:, PARTS].tolist()) == ([0, 1], [1, 3])
    assert np.all(np.diff(starts, axis=1) >= 0)
    assert offsets.tolist() == [3 * 4, 0, 15 * 4]
    assert values.tolist() == [3.0, 2.0, 1.0]
    assert starts[1].tolist() == [1, *[2] * 7, 3]  # of channel 1: output 0, later output 15


def test_groups_lead_to_their_own_inputs():
    weight = torch.ones(4, 1, 1, 1)
    g = geometry_of(nn.Conv2d(2, 4, 1, groups=2), 1, (1, 1))
    _, offsets, _ = lane_table(weight, 2, g)
    assert offsets.tolist() == [0, 0, 1, 1]


def test_what_has_no_event_driven_form_says_why():
    assert obstacle(nn.Linear(2, 2)) is obstacle(nn.Conv2d(1, 1, 1)) is obstacle(nn.Conv1d(1, 1, 1))
    assert obstacle(nn.Conv2d(1, 1, 1)) is None
    assert "ConvTranspose2d" in str(obstacle(nn.ConvTranspose2d(1, 1, 1)))
    assert "three axes" in str(obstacle(nn.Conv3d(1, 1, 1)))
    assert "reflect" in str(obstacle(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")))
