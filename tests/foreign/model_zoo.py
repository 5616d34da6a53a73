"""SpikingJelly's own model zoo, as it is installed, made small enough for a test.

Its modules import torchvision for the download of weights, which no test does: a stand-in is there
while they are imported.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import torch
from tests.foreign.net import Net
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

T = 2
_TORCHVISION = ("torchvision", "torchvision.models", "torchvision.models.utils")


@contextmanager
def torchvision_stand_in() -> Iterator[None]:
    """Put modules without content in the place of torchvision, and take them away again."""
    before = {name: sys.modules.get(name) for name in _TORCHVISION}
    sys.modules.update({name: ModuleType(name) for name in _TORCHVISION})
    sys.modules[_TORCHVISION[-1]].load_state_dict_from_url = None
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


with torchvision_stand_in():
    from spikingjelly.activation_based import functional, neuron
    from spikingjelly.activation_based.model import (
        MASNN,
        AttMSResNet,
        MaxFormer,
        MaxResNet,
        MSResNet,
        QKFormer,
        SpikeDrivenTransformer,
        Spikformer,
        parametric_lif_net,
        sew_resnet,
        snas_net,
        spiking_resnet,
        spiking_vgg,
        spiking_vggws_ottt,
    )


def narrowed(model: nn.Module, by: int, *, keep=(2, 3, 10, 100, 110)) -> nn.Module:
    """Divide the channels of all layers by a number, but for those of images and of answers."""

    def small(size: int) -> int:
        return size if size in keep else max(1, size // by)

    for module in model.modules():
        if isinstance(module, _ConvNd):
            module.out_channels = small(module.out_channels)
            module.in_channels = small(module.in_channels)
            module.groups = min(module.groups, module.in_channels)
            shape = (module.out_channels, module.in_channels // module.groups)
        elif isinstance(module, nn.Linear):
            shape = module.out_features, module.in_features = (
                small(module.out_features),
                small(module.in_features),
            )
        elif isinstance(module, _BatchNorm):
            module.num_features = small(module.num_features)
            shape = (module.num_features,)
        else:
            continue
        _shrink(module, shape)
    return model


def _shrink(module: nn.Module, shape: tuple[int, ...]) -> None:
    for name, tensor in [*module.named_parameters(recurse=False)]:
        part = tensor.detach()[: shape[0]]
        part = part[:, : shape[1]] if part.ndim > 1 else part
        setattr(module, name, nn.Parameter(part.clone()))
    for name, tensor in [*module.named_buffers(recurse=False)]:
        setattr(module, name, tensor[: shape[0]].clone() if tensor.ndim else tensor)


def _repeated(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model(x.expand(T, *x.shape))


def _online(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    functional.reset_net(model)
    return torch.stack([model(x) for _ in range(T)])


def _multi_step(model: nn.Module) -> nn.Module:
    functional.set_step_mode(model, "m")
    return model


def _plif_net(kind: str, **sizes: int):
    def build() -> nn.Module:
        net = getattr(parametric_lif_net, kind)(
            **sizes, spiking_neuron=neuron.ParametricLIFNode, detach_reset=True
        )
        return _multi_step(narrowed(net, 16))

    return build


def _resnet(module, block: str, **options):
    def build() -> nn.Module:
        kind = getattr(module, "SEWResNet" if module is sew_resnet else "SpikingResNet")
        net = kind(
            getattr(module, block),
            [1, 1, 1, 1],
            num_classes=10,
            spiking_neuron=neuron.IFNode,
            **options,
        )
        return _multi_step(narrowed(net, 16))

    return build


def _vgg(batch_norm: bool):
    def build() -> nn.Module:
        with torch.device("meta"):  # its linear layers have 120 million weights
            net = spiking_vgg.SpikingVGG(
                cfg=[64, "M", 128, "M", 256],
                batch_norm=batch_norm,
                num_classes=10,
                init_weights=False,
                spiking_neuron=neuron.LIFNode,
            )
            net.classifier[0] = type(net.classifier[0])(256 * 49, 4096)
        net = narrowed(net, 32).to_empty(device="cpu")
        for module in net.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        return _multi_step(net)

    return build


def _ottt(weight_standardization: bool) -> nn.Module:
    return narrowed(
        spiking_vggws_ottt.OTTTSpikingVGG(
            cfg=[64, "M", 128, "A", 512],
            weight_standardization=weight_standardization,
            num_classes=10,
            spiking_neuron=neuron.OTTTLIFNode,
        ),
        32,
    )


def _snas() -> nn.Module:
    args = SimpleNamespace(
        dataset="cifar10",
        timestep=T,
        second_avgpooling=4,
        celltype="forward",
        threshold=1.0,
        tau=4 / 3,
    )
    links = torch.tensor([[0, 2, 3, 1], [0, 0, 3, 4], [0, 0, 0, 2], [0, 0, 0, 0]])
    return narrowed(snas_net.SNASNet(args, links), 32)


_RECORDING = {"call": _repeated, "steps": T}
_OWN = {"steps": T}
_ONLINE = {"call": _online, "steps": T}

NETS = {
    "MNISTNet": Net(_plif_net("MNISTNet", channels=128), (1, 28, 28), **_RECORDING),
    "FashionMNISTNet": Net(_plif_net("FashionMNISTNet", channels=128), (1, 28, 28), **_RECORDING),
    "NMNISTNet": Net(_plif_net("NMNISTNet", channels=128), (2, 34, 34), **_RECORDING),
    "CIFAR10Net": Net(_plif_net("CIFAR10Net", channels=128), (3, 32, 32), **_RECORDING),
    "CIFAR10DVSNet": Net(_plif_net("CIFAR10DVSNet", channels=64), (2, 128, 128), **_RECORDING),
    "DVSGestureNet": Net(_plif_net("DVSGestureNet", channels=64), (2, 128, 128), **_RECORDING),
    "SpikingResNet": Net(_resnet(spiking_resnet, "BasicBlock"), (3, 32, 32), **_RECORDING),
    "SpikingResNet, bottleneck": Net(
        _resnet(spiking_resnet, "Bottleneck"), (3, 32, 32), **_RECORDING
    ),
    "SEWResNet, ADD": Net(_resnet(sew_resnet, "BasicBlock", cnf="ADD"), (3, 32, 32), **_RECORDING),
    "SEWResNet, AND": Net(_resnet(sew_resnet, "BasicBlock", cnf="AND"), (3, 32, 32), **_RECORDING),
    "SEWResNet, IAND": Net(
        _resnet(sew_resnet, "BasicBlock", cnf="IAND"), (3, 32, 32), **_RECORDING
    ),
    "SEWResNeXt": Net(
        _resnet(sew_resnet, "Bottleneck", cnf="ADD", groups=32, width_per_group=4),
        (3, 32, 32),
        **_RECORDING,
    ),
    "SpikingVGG": Net(_vgg(False), (3, 32, 32), **_RECORDING),
    "SpikingVGG, BatchNorm": Net(_vgg(True), (3, 32, 32), **_RECORDING),
    "OTTTSpikingVGG": Net(lambda: _ottt(False), (3, 16, 16), **_ONLINE),
    "OTTTSpikingVGG, standardised weights": Net(lambda: _ottt(True), (3, 16, 16), **_ONLINE),
    "MSResNet": Net(
        lambda: MSResNet(T=T, num_classes=10, layers=(1, 1, 1, 1), base_channels=4),
        (3, 32, 32),
        **_OWN,
    ),
    "MaxResNet": Net(
        lambda: MaxResNet(T=T, num_classes=10, layers=(1, 1, 1, 1), base_channels=4),
        (3, 32, 32),
        **_OWN,
    ),
    "AttMSResNet": Net(
        lambda: AttMSResNet(
            T=T, num_classes=10, layers=(1, 1, 1, 1), base_channels=8, reduction_c=4
        ),
        (3, 32, 32),
        **_OWN,
    ),
    "MASNN": Net(
        lambda: MASNN(
            T=T,
            num_classes=10,
            input_size=(16, 16),
            channels=(8, 8, 16),
            fc_hidden=32,
            reduction_t=1,
            reduction_c=2,
        ),
        (2, 16, 16),
        **_OWN,
        mapped=False,
    ),
    "Spikformer": Net(
        lambda: Spikformer(
            T=T,
            img_size_h=16,
            img_size_w=16,
            patch_size=4,
            num_classes=10,
            embed_dims=32,
            num_heads=2,
            mlp_ratio=2,
            depths=1,
        ),
        (3, 16, 16),
        **_OWN,
    ),
    "QKFormer": Net(
        lambda: QKFormer(
            T=T, num_classes=10, embed_dims=32, num_heads=(1, 2, 2), depths=(1, 1, 1), mlp_ratio=2
        ),
        (3, 32, 32),
        **_OWN,
    ),
    "QKFormer, channel": Net(
        lambda: QKFormer(
            T=T,
            num_classes=10,
            embed_dims=32,
            num_heads=(1, 2, 2),
            depths=(1, 1, 1),
            mlp_ratio=2,
            qka_type="channel",
        ),
        (3, 32, 32),
        **_OWN,
    ),
    "SpikeDrivenTransformer": Net(
        lambda: SpikeDrivenTransformer(
            T=T, num_classes=10, embed_dims=32, num_heads=2, depths=1, mlp_ratio=2
        ),
        (3, 32, 32),
        **_OWN,
    ),
    "MaxFormer": Net(
        lambda: MaxFormer(T=T, num_classes=10, embed_dims=32, depths=(1, 1, 1), mlp_ratio=2),
        (3, 32, 32),
        **_OWN,
    ),
    "MaxFormer, CIFAR": Net(
        lambda: MaxFormer(
            T=T, num_classes=10, embed_dims=32, depths=(1, 1, 1), mlp_ratio=2, cifar=True
        ),
        (3, 16, 16),
        **_OWN,
    ),
    "SNASNet": Net(_snas, (3, 32, 32), **_OWN),
}
