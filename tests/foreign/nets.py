"""All foreign nets by name: plain PyTorch, research style, the model zoo of SpikingJelly."""

from tests.foreign import model_zoo, plain, research
from tests.foreign.net import Net, answer, over_time, per_step
from tests.foreign.plain import T

PLAIN = {
    "loops over [T, B, F]": Net(plain.Sequence, (12,), over_time),
    "one forward, functions for neurons": Net(plain.Stbp, (1, 8, 8)),
    "one step a call": Net(plain.Stepwise, (1, 8, 8), per_step),
    "explicit states": Net(plain.States, (12,)),
    "answers [B, T, K]": Net(plain.ByBatch, (12,), lambda net, x: net(x).transpose(0, 1)),
    "neurons in a list": Net(plain.Hidden, (12,), over_time),
    "one activation for all": Net(plain.Shared, (12,)),
    "recordings, [B*T, ...]": Net(plain.Joined, (T, 2, 8, 8)),
    "recordings, [T*B, ...]": Net(lambda: plain.Joined("t"), (T, 2, 8, 8)),
    "recurrent": Net(plain.Recurrent, (12,)),
    "U-Net": Net(plain.UNet, (1, 8, 8), evaluates=False),
    "first layer once": Net(plain.Once, (1, 8, 8)),
    "threshold per channel": Net(plain.Threshold, (1, 8, 8)),
    "residual, grouped": Net(plain.Residual, (1, 8, 8)),
    "three-dimensional": Net(plain.Volume, (1, 4, 4, 4)),
    "attention over tokens": Net(plain.Attention, (1, 8, 8)),
    "words, dict": Net(plain.Words, (T,), answer, layout=answer, words=20),
    "ternary spikes": Net(plain.Ternary, (12,), mapped=False),
    "straight through": Net(plain.StraightThrough, (12,), mapped=False),
}

NETS = PLAIN | research.NETS | model_zoo.NETS
