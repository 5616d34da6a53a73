"""The table of data sets, one row each."""

from dataclasses import dataclass

from spikeprune.data import classes
from spikeprune.data.types import DataInfo, Kind


@dataclass(frozen=True)
class DataSet:
    """A data set as its publisher made it."""

    name: str
    label: str  # in results
    classes: tuple[str, ...]  # in the order of the labels
    shape: tuple[int, int, int]  # `(C, H, W)` of an image, or of a frame of a recording
    mean: tuple[float, ...]  # per channel of the training images; pixels in [0, 1]
    std: tuple[float, ...]  # of the same pixels
    obtain: str  # how to get it
    forms: tuple[str, ...] = ("parquet",)  # or `embedded`, `idx`, `recordings`
    folders: tuple[str, ...] = ()  # usual names of its folder below a root
    columns: tuple[str, str] = ("image", "label")  # of image and label in Parquet files
    test_split: str = "test"  # its name in Parquet files
    hub: str | None = None  # its repository on the Hugging Face hub
    lossless: bool = True  # whether JPEG bytes are a changed copy of the published pixels
    kind: Kind = "static"

    def info(self, label: str, source: str) -> DataInfo:
        """Return the description of a copy that was found at `source`."""
        return DataInfo(
            self.name, label, self.classes, self.shape, self.mean, self.std, self.kind, source
        )


@dataclass(frozen=True)
class Description:
    """One name that `load` accepts, for a list."""

    name: str
    label: str
    kind: str
    classes: int | None
    shape: tuple[int, int, int] | None
    obtain: str


_IDX = (
    "a folder with the idx files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (or .gz)"
)
_NMNIST = (
    "the recordings of Orchard et al., https://www.garrickorchard.com/datasets/n-mnist, unpacked "
    "to Train/<digit>/<id>.bin and Test/<digit>/<id>.bin"
)
_PARQUET = "a folder with the Parquet files of the Hugging Face hub's"

_ROWS = (
    DataSet(
        name="digits",
        label="scikit-learn digits",
        classes=classes.DIGITS,
        shape=(1, 8, 8),
        mean=(0.3053,),
        std=(0.3762,),
        forms=("embedded",),
        obtain="nothing to get: it ships inside scikit-learn",
    ),
    DataSet(
        name="fashion-mnist",
        label="Fashion-MNIST",
        classes=classes.FASHION,
        shape=(1, 28, 28),
        mean=(0.2860,),
        std=(0.3530,),
        forms=("idx", "parquet"),
        folders=("fashion-mnist", "FashionMNIST/raw", "fashion_mnist"),
        hub="zalando-datasets/fashion_mnist",
        obtain=f"on Debian: apt install dataset-fashion-mnist; elsewhere: {_IDX}",
    ),
    DataSet(
        name="mnist",
        label="MNIST",
        classes=classes.DIGITS,
        shape=(1, 28, 28),
        mean=(0.1307,),
        std=(0.3081,),
        forms=("idx", "parquet"),
        folders=("mnist", "MNIST/raw"),
        hub="ylecun/mnist",
        obtain=_IDX,
    ),
    DataSet(
        name="cifar10",
        label="CIFAR-10",
        classes=classes.CIFAR10,
        shape=(3, 32, 32),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        folders=("cifar10",),
        columns=("img", "label"),
        hub="uoft-cs/cifar10",
        obtain=f"{_PARQUET} uoft-cs/cifar10 (columns img, label)",
    ),
    DataSet(
        name="cifar100",
        label="CIFAR-100",
        classes=classes.CIFAR100,
        shape=(3, 32, 32),
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        folders=("cifar100",),
        columns=("img", "fine_label"),
        hub="uoft-cs/cifar100",
        obtain=f"{_PARQUET} uoft-cs/cifar100 (columns img, fine_label)",
    ),
    DataSet(
        name="tiny-imagenet",
        label="Tiny-ImageNet",
        classes=classes.TINY_IMAGENET,
        shape=(3, 64, 64),
        mean=(0.4802, 0.4481, 0.3975),
        std=(0.2770, 0.2691, 0.2821),
        folders=("tiny-imagenet", "tiny_imagenet"),
        # The labels of its test images were never published.
        test_split="valid",
        hub="zh-plus/tiny-imagenet",
        lossless=False,
        obtain=f"{_PARQUET} zh-plus/tiny-imagenet (columns image, label; valid serves as test)",
    ),
    DataSet(
        name="nmnist",
        label="N-MNIST",
        classes=classes.DIGITS,
        shape=(2, 34, 34),
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
        forms=("recordings",),
        folders=("nmnist", "N-MNIST", "NMNIST", "nmnist-small"),
        kind="events",
        obtain=_NMNIST,
    ),
)

SETS: dict[str, DataSet] = {row.name: row for row in _ROWS}
NAMES: tuple[str, ...] = (*SETS, "folder")


def describe() -> tuple[Description, ...]:
    """Return a row for every kind of name that `load` accepts."""
    rows = [
        Description(row.name, row.label, row.kind, len(row.classes), row.shape, row.obtain)
        for row in _ROWS
    ]
    own = "train/<class>/<image> and test/<class>/<image>, PNG or JPEG; or give its path as name"
    rows.append(Description("folder", "a folder of images", "static", None, None, own))
    code = "a function of yours that returns loaders: a Data, or train, test, shape and classes"
    rows.append(Description("module:callable", "your own", "static or events", None, None, code))
    return tuple(rows)
