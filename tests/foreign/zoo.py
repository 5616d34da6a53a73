"""SpikingJelly's own model zoo, in the smallest sizes that its constructors allow."""

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from tests.foreign.walk import Net
from torch import nn

from spikeprune.adapters.rest import reset

T = 2


@contextmanager
def torchvision():
    """Let `import torchvision` find a download function that refuses, while active."""
    names = ("torchvision", "torchvision.models", "torchvision.models.utils")
    before = {name: sys.modules.get(name) for name in names}
    parts = [ModuleType(name) for name in names]
    parts[2].load_state_dict_from_url = _no_download
    sys.modules.update(zip(names, parts, strict=True))
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def _no_download(*_, **__):
    raise RuntimeError("tests download nothing")


with torchvision():
    from spikingjelly.activation_based.model import (
        masnn,
        maxformer,
        ms_resnet,
        parametric_lif_net,
        qkformer,
        sew_resnet,
        snas_net,
        spike_dhs,
        spike_driven_transformer,
        spikformer,
        spiking_resnet,
        spiking_vgg,
        spiking_vggws_ottt,
    )

LIF = {"surrogate_function": surrogate.ATan(), "detach_reset": True}
TRANSFORMER = {"T": T, "num_classes": 10, "embed_dims": 16}
RESNET = {"T": T, "num_classes": 10, "layers": (1, 1, 1), "base_channels": 8, "stem_kernel_size": 3}


def over_time(net, x):
    """Call the net with the batch repeated T times."""
    return net(x.expand(T, *x.shape))


def per_step(net, x):
    """Call the net T times with one slice."""
    reset(net)
    return torch.stack([net(x) for _ in range(T)])


def first(net, x):
    """Return the first of two answers; the second is for the loss of an auxiliary head."""
    return net(x)[0]


def small(build, change):
    """Build a net whose constructor fixes large layers, without their memory; change these parts.

    `build` makes it, `change` gets it and returns it.
    """
    with torch.device("meta"):
        net = build()
    net = change(net).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            tensor.zero_()  # what no module sets again is not whatever the memory held
    for module in net.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return net


def multi_step(net):
    """Set the step mode of the net, as its owner does."""
    functional.set_step_mode(net, "m")
    return net


def plif(name):
    """A net of parametric_lif_net."""
    build = getattr(parametric_lif_net, name)
    return lambda: multi_step(build(channels=4, spiking_neuron=neuron.ParametricLIFNode, **LIF))


def vgg(build, *, width=16, **options):
    """A VGG net with the classifier that people put on it for small images."""

    def change(net):
        net.avgpool, net.classifier = layer.AdaptiveAvgPool2d(1), layer.Linear(width, 10)
        return net

    return multi_step(small(lambda: build(**options), change))


def spike_dhs_net():
    """SpikeDHS after its search, narrow."""
    sizes = {"step": 3, "num_layers": 6, "block_multiplier": 3, "filter_multiplier": 2}
    arguments = SimpleNamespace(**{f"fea_{name}": size for name, size in sizes.items()})

    def change(net):
        net.classifier = spike_dhs.SpikingLinear(24, 10, spiking=False)
        net.feature.auxiliary_head = spike_dhs.AuxiliaryHeadCIFAR(24, 10)
        net._time_step = T
        return net

    return multi_step(small(lambda: spike_dhs.SpikeDHS(args=arguments), change))


def snas(kind):
    """SNASNet with connections of both kinds, for small images."""
    settings = {"dataset": "cifar100", "timestep": T, "second_avgpooling": 2, "celltype": kind}
    arguments = SimpleNamespace(**settings, threshold=1.0, tau=4 / 3)
    connections = torch.tensor([[0, 2, 0, 1], [0, 0, 3, 0], [0, 0, 0, 4], [0, 0, 0, 0]])

    def change(net):
        for module in net.modules():
            if isinstance(module, snas_net.ScaleLayer):
                module.scale = torch.tensor(0.0)  # a tensor that `to_empty` does not see
        net.classifier = nn.Sequential(
            nn.Linear(256 * 4, 32, bias=False), neuron.LIFNode(**LIF), nn.Linear(32, 50)
        )
        return net

    return small(lambda: snas_net.SNASNet(arguments, connections), change)


def awake(build, factor):
    """Build a net with low thresholds, so that the pruned net fires."""
    net = build()
    for module in net.modules():
        if isinstance(module, neuron.BaseNode):
            module.v_threshold *= factor
    return net


def image(build, size=16, channels=3, call=over_time, *, low=0.05, **options):
    """A net on images `[B, C, size, size]`; `low` is the factor of its thresholds."""
    options = {"options": {"allocation": "erk"}} | options  # so that every layer stays alive
    return Net(
        lambda: awake(build, low), (channels, size, size), call, time_steps=T, rate=0.005, **options
    )


def whole(build, size=16, channels=3, **options):
    """A net that repeats an image itself."""
    return image(build, size, channels, lambda net, x: net(x), **options)


def resnet(module, block, **options):
    """A ResNet with two stages of one block, as people make it for small images."""
    blocks = getattr(module, block)
    build = module.SEWResNet if hasattr(module, "SEWResNet") else module.SpikingResNet
    made = {"spiking_neuron": neuron.IFNode} | LIF | options

    def change(net):
        net.layer3 = net.layer4 = nn.Identity()
        net.fc = layer.Linear(128 * blocks.expansion, 10)
        return net

    return lambda: multi_step(small(lambda: build(blocks, [1, 1, 1, 1], **made), change))


SMALL_VGG = {"cfg": [8, "M", 16, 16, "M"], "spiking_neuron": neuron.LIFNode, "num_classes": 10}

ZOO = {
    "MNISTNet": image(plif("MNISTNet"), 28, 1),
    "FashionMNISTNet": image(plif("FashionMNISTNet"), 28, 1),
    "NMNISTNet": image(plif("NMNISTNet"), 34, 2),
    "CIFAR10Net": image(plif("CIFAR10Net"), 32),
    "CIFAR10DVSNet": image(plif("CIFAR10DVSNet"), 128, 2),
    "DVSGestureNet": image(plif("DVSGestureNet"), 128, 2),
    "SpikingVGG": image(lambda: vgg(spiking_vgg.SpikingVGG, **SMALL_VGG, **LIF)),
    "SpikingVGG, BatchNorm": image(
        lambda: vgg(spiking_vgg.SpikingVGG, batch_norm=True, **SMALL_VGG, **LIF)
    ),
    "SpikingResNet": image(resnet(spiking_resnet, "BasicBlock")),
    "SpikingResNet, bottleneck": image(resnet(spiking_resnet, "Bottleneck", width_per_group=8)),
    "SEWResNet": image(resnet(sew_resnet, "BasicBlock", cnf="ADD")),
    "SEWResNet, bottleneck": image(resnet(sew_resnet, "Bottleneck", cnf="ADD", width_per_group=8)),
    "SEWResNet, IAND": image(resnet(sew_resnet, "BasicBlock", cnf="IAND")),
    "MSResNet": whole(lambda: ms_resnet.MSResNet(**RESNET)),
    "MaxResNet": whole(lambda: ms_resnet.MaxResNet(**RESNET)),
    "AttMSResNet": whole(lambda: masnn.AttMSResNet(**RESNET)),
    "MASNN": whole(
        lambda: masnn.MASNN(
            T=T, channels=(8, 8, 8), fc_hidden=16, reduction_t=1, input_size=(16, 16)
        ),
        channels=2,
    ),
    "Spikformer": whole(
        lambda: spikformer.Spikformer(
            img_size_h=16, img_size_w=16, patch_size=4, num_heads=2, depths=1, **TRANSFORMER
        )
    ),
    "QKFormer": whole(
        lambda: qkformer.QKFormer(num_heads=(1, 2, 2), depths=(1, 1, 1), **TRANSFORMER)
    ),
    "QKFormer, channels": whole(
        lambda: qkformer.QKFormer(
            num_heads=(1, 2, 2), depths=(1, 1, 1), qka_type="channel", **TRANSFORMER
        ),
        low=0.1,
    ),
    "SpikeDrivenTransformer": whole(
        lambda: spike_driven_transformer.SpikeDrivenTransformer(
            num_heads=2, depths=1, pooling_stat="0011", **TRANSFORMER
        )
    ),
    "MaxFormer": whole(lambda: maxformer.MaxFormer(depths=(1, 1, 1), **TRANSFORMER), low=0.1),
    "MaxFormer, CIFAR": whole(
        lambda: maxformer.MaxFormer(depths=(1, 1, 1), cifar=True, **TRANSFORMER)
    ),
    "SNASNet": whole(lambda: snas("forward"), 8),
    "SNASNet, backward": whole(lambda: snas("backward"), 8),
    "SpikeDHS": image(spike_dhs_net, 32, 3, first, layout=first, low=0.3),
    "OTTT VGG": image(
        lambda: spiking_vggws_ottt.OTTTSpikingVGG(
            cfg=[8, "M", 512], num_classes=10, spiking_neuron=neuron.OTTTLIFNode
        ),
        8,
        call=per_step,
    ),
}
