"""All foreign nets by name: plain PyTorch, research style, the model zoo of SpikingJelly."""

from tests.foreign import model_zoo, plain, research
from tests.foreign.net import Net, answer, over_time, per_step
from tests.foreign.plain import T

SIZES = "because its forward has sizes in its code"
PLAIN = {
    "loops over [T, B, F]": Net(plain.Sequence, (12,), over_time, cuts=("body.0", "body.2")),
    "one forward, functions for neurons": Net(plain.Stbp, (1, 8, 8), whole=SIZES),
    "one step a call": Net(plain.Stepwise, (1, 8, 8), per_step, cuts=("conv", "conv2")),
    "explicit states": Net(plain.States, (12,), whole=SIZES),
    "answers [B, T, K]": Net(
        plain.ByBatch, (12,), lambda net, x: net(x).transpose(0, 1), whole=SIZES
    ),
    "neurons in a list": Net(plain.Hidden, (12,), over_time, cuts=("layers.0", "layers.1")),
    "one activation for all": Net(plain.Shared, (12,), cuts=("a", "b")),
    "recordings, [B*T, ...]": Net(plain.Joined, (T, 2, 8, 8), cuts=("body.0", "body.4")),
    "recordings, [T*B, ...]": Net(
        lambda: plain.Joined("t"), (T, 2, 8, 8), cuts=("body.0", "body.4")
    ),
    "recurrent": Net(plain.Recurrent, (12,), whole=SIZES),
    "U-Net": Net(plain.UNet, (1, 8, 8), evaluates=False, cuts=("down", "low", "up")),
    "first layer once": Net(plain.Once, (1, 8, 8), cuts=("encode.0", "conv")),
    "threshold per channel": Net(plain.Threshold, (1, 8, 8), whole=SIZES),
    "residual, grouped": Net(
        plain.Residual,
        (1, 8, 8),
        whole="stem, a, b: expected plain or depthwise convolutions, got 'b' with 2 groups",
    ),
    "three-dimensional": Net(plain.Volume, (1, 4, 4, 4), cuts=("conv", "conv2")),
    "attention over tokens": Net(
        plain.Attention,
        (1, 8, 8),
        cuts=("patch", "mlp"),
        whole="q, v; channels of 'q' are mixed on the way to 'mlp'",
    ),
    "words, dict": Net(plain.Words, (T,), answer, layout=answer, words=20, cuts=("fc",)),
    "ternary spikes": Net(plain.Ternary, (12,), mapped=False, cuts=("a", "b")),
    "straight through": Net(plain.StraightThrough, (12,), mapped=False, cuts=("a",)),
}

NETS = PLAIN | research.NETS | model_zoo.NETS
