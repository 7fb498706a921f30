"""What trainers note beside the weights, read without its code: arguments, paths, counters, scores.

torch's `weights_only` reader refuses every class that it does not know, and with it the whole file. For the
classes on this list it is handed stand-ins: objects that take whatever a file says of them, and hold and do
nothing. No code of a file, of numpy or of a trainer runs; a class that is not on the list is refused as ever.
"""

from collections import OrderedDict

import torch


class StandIn:
    """In the place of an object that is no weight; empty, whatever it was made with."""

    __slots__ = ()

    def __new__(cls, *_, **__):
        return object.__new__(cls)

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, _):
        pass


class StandInDict:
    """In the place of a dict of another class: a plain one, which may hold weights."""

    def __new__(cls, *_, **__):
        return OrderedDict()


class StandInList:
    """In the place of a list of another class: a plain one."""

    def __new__(cls, *_, **__):
        return []


_PATHS = "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"
_DTYPES = (
    "Bool Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Byte UByte Short UShort Int UInt Long ULong "
    "LongLong ULongLong Float16 Float32 Float64 LongDouble Complex64 Complex128 CLongDouble Str Bytes "
    "Object DateTime64 TimeDelta64 Void String"
)
_LIGHTNING = ("pytorch_lightning", "lightning.pytorch")
OBJECTS = {
    "argparse": "Namespace",
    "types": "SimpleNamespace",
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "datetime": "date datetime time timedelta timezone",
    "zoneinfo": "ZoneInfo._unpickle",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "uuid": "UUID SafeUUID",
    "functools": "partial",
    "copyreg": "_reconstructor",
    "typing": "Any",
    "builtins": "Ellipsis bool bytes dict float frozenset int list object range slice str tuple type",
    "numpy": "dtype ndarray",
    "numpy.core.multiarray": "scalar _reconstruct",
    "numpy._core.multiarray": "scalar _reconstruct",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.dtypes": " ".join(f"{kind}DType" for kind in _DTYPES.split()),
    "torch.torch_version": "TorchVersion",
    "torchvision.transforms.functional": "InterpolationMode",
    "torchvision.transforms.transforms": "InterpolationMode",
    "omegaconf.base": "ContainerMetadata Metadata",
    "omegaconf.nodes": "AnyNode BooleanNode FloatNode IntegerNode PathNode StringNode",
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "ml_collections.config_dict.config_dict": "ConfigDict FieldReference",
    "mmengine.logging.history_buffer": "HistoryBuffer",
    **{f"{place}.callbacks.model_checkpoint": "ModelCheckpoint" for place in _LIGHTNING},
    **{f"{place}.callbacks.early_stopping": "EarlyStopping" for place in _LIGHTNING},
}  # fmt: skip
DICTS = {
    "collections": "defaultdict",
    "easydict": "EasyDict",
    "addict.addict": "Dict",
    "munch": "Munch",
    "yacs.config": "CfgNode",
    "fvcore.common.config": "CfgNode",
    "mmengine.config.config": "ConfigDict",
    "lightning_fabric.utilities.data": "AttributeDict",
    "lightning.fabric.utilities.data": "AttributeDict",
    **{f"{place}.utilities.parsing": "AttributeDict" for place in _LIGHTNING},
}
LISTS = {"collections": "deque"}


def stand_ins():
    """The context in which `torch.load(weights_only=True)` reads the classes of the list as stand-ins."""
    kinds = ((StandIn, OBJECTS), (StandInDict, DICTS), (StandInList, LISTS))
    return torch.serialization.safe_globals(
        [
            (kind, f"{module}.{name}")
            for kind, table in kinds
            for module, names in table.items()
            for name in names.split()
        ]
    )
