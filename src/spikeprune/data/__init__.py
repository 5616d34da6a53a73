"""Data sets by name, as loaders whose batches depend only on the seed and the epoch."""

from spikeprune.data.custom import taken
from spikeprune.data.load import load
from spikeprune.data.loader import Loader
from spikeprune.data.places import Location, Place, locate
from spikeprune.data.sets import NAMES, Description, describe
from spikeprune.data.types import Batches, Data, DataInfo

__all__ = [
    "NAMES",
    "Batches",
    "Data",
    "DataInfo",
    "Description",
    "Loader",
    "Location",
    "Place",
    "describe",
    "load",
    "locate",
    "taken",
]
