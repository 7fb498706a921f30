"""Records of towers: what is kept says the whole graph, and a file that is wrong in any way is not used."""

import copy
import json
import random
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import kit
from kit import cache
from kit.models import kept, trace
from kit.models.kept import Kept, said_if_slow
from kit.models.operations import OPERATIONS
from kit.models.records import rebuilt, written
from kit.models.trace import trace_of
from tests.exact.families import EXACT
from tests.exact.towers import same_graph
from tests.unit.tiny_models import TIMM, TIMM_CONFIG, pixels

ROOT = Path(__file__).parents[2]
SWIN = {"img_size": 56, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32}
TOWERS = {
    "stickers-l8": {},
    "ViT-B-32": {"pretrained": "random", "config": {"vision_cfg": {"layers": 2}, "text_cfg": None}},
    TIMM: {"pretrained": "random", "config": TIMM_CONFIG},
    "timm/swin_tiny_patch4_window7_224": {"pretrained": "random", "config": SWIN},
    "timm/maxvit_tiny_tf_224": {"pretrained": "random", "config": EXACT["maxvit_tiny_tf_224"]},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of this test's own for what is kept."""
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture(scope="module")
def tiny():
    return kit.load(TIMM, "random", config=TIMM_CONFIG)


def place_of(model) -> Kept:
    return Kept(model.tower, model.image_size, next(model.tower.parameters()))


@pytest.fixture(scope="module")
def recorded(tiny):
    """The tower of `tiny` as it is recorded, and its record."""
    module = trace._exported("tiny", tiny.tower, tiny.image_size, next(tiny.tower.parameters()))
    return module, json.loads(written(module, tiny.tower, tiny.device))


@pytest.fixture
def place(tiny, folder, recorded):
    """Where the record of `tiny` is kept; it lies there."""
    place = place_of(tiny)
    place.write(recorded[0])
    assert place.read() is not None
    return place


def put(place: Kept, record: bytes) -> None:
    """Put another record in the place of one, with a digest that fits."""
    assert cache.write(place.name, place._digest(record) + b"\n" + record)


@pytest.mark.parametrize("name", TOWERS)
def test_a_kept_record_is_the_graph_that_was_recorded(name, folder):
    model = kit.load(name, **TOWERS[name])
    picture = torch.randn(2, 3, *model.image_size, generator=torch.Generator().manual_seed(0))
    first = kit.run(model, picture)
    assert [path for path, *_ in cache.kept()] == [folder / place_of(model).name]
    again = kit.load(name, **TOWERS[name])
    again.tower.load_state_dict(model.tower.state_dict())
    second = kit.run(again, picture)
    assert torch.equal(first.vectors(), second.vectors())
    directions = torch.eye(model.embed_dim)[:3]
    assert torch.equal(first.maps(directions), second.maps(directions))
    twin = place_of(model).read()
    assert same_graph(trace_of(model).module, twin)
    assert first.index.equals(second.index) and str(first.frozen.check) == str(second.frozen.check)


def test_the_second_model_is_not_recorded(tiny, place, monkeypatch):
    monkeypatch.setattr(trace, "_exported", None)
    assert trace_of(copy.copy(tiny)).layers == 2


def test_a_record_is_small_and_holds_no_weights(stickers, folder):
    record = written(trace_of(stickers).module, stickers.tower, stickers.device)
    assert len(record) < 16_000 and json.loads(record)["constants"] == {}


def test_a_constant_that_the_towers_own_code_makes_is_kept_as_numbers(folder):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.shifts = nn.Conv2d(3, 8, 8, 8), torch.arange(8.0)  # shifts: no buffer

        def forward(self, x):
            return self.patches(x).mean((2, 3)) * torch.tensor([0.5, -torch.pi] * 4) + self.shifts

    tower = Scaled().eval()
    module = trace._exported("scaled", tower, (16, 16), pixels())
    record = written(module, tower, torch.device("cpu"))
    assert [len(c["numbers"]) for c in json.loads(record)["constants"].values()] == [8]
    found = rebuilt(record, tower, torch.device("cpu"))
    with torch.no_grad():
        assert torch.equal(found(pixels(size=16)), tower(pixels(size=16)))
        tower.shifts += 1
        assert torch.equal(found(pixels(size=16)), tower(pixels(size=16)))


class UnderAutocast(nn.Module):
    """A tower of which a block switches autocast off, which is recorded as a graph within the graph."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3 * 16 * 16, 5)

    def forward(self, pixels):
        with torch.autocast("cpu", enabled=False):
            return self.line(pixels.flatten(1)).relu()


def test_a_graph_within_the_graph_is_no_record():
    tower = UnderAutocast().eval()
    module = trace._exported("under autocast", tower, (16, 16), pixels())
    assert any(isinstance(inner, torch.fx.GraphModule) for inner in module.children())
    assert written(module, tower, torch.device("cpu")) is None


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_that_a_record_may_name_change_nothing(name):
    if schema := getattr(OPERATIONS[name], "_schema", None):
        assert not schema.is_mutable and not any(
            a.alias_info and a.alias_info.is_write for a in schema.arguments
        )
        assert not {a.name for a in schema.arguments} & {"filename", "generator"}


def test_a_batch_norm_that_would_write_to_the_weights_is_no_record():
    tower = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.Flatten()).eval()
    module = trace._exported("norm", tower, (16, 16), pixels())
    record = json.loads(written(module, tower, torch.device("cpu")))
    (norm,) = nodes_of(record, "batch_norm.default")
    assert rebuilt(json.dumps(record).encode(), tower, torch.device("cpu"))(pixels(size=16)).shape == (2, 32)
    norm[3][5] = True
    with pytest.raises(ValueError, match=r"batch_norm\.default"):
        rebuilt(json.dumps(record).encode(), tower, torch.device("cpu"))


def nodes_of(record: dict, name: str) -> list:
    return [node for node in record["nodes"] if isinstance(node, list) and name in node]


def _swap(record, name, other):
    nodes_of(record, name)[0][2] = other


HOSTILE = {
    "an operation that is not in the list": lambda r: _swap(r, "linear.default", "from_file.default"),
    "an operation by an attribute": lambda r: _swap(r, "linear.default", "__class__.__init__"),
    "an operation that is no text": lambda r: _swap(r, "linear.default", ["linear.default"]),
    "a later node": lambda r: nodes_of(r, "linear.default")[0][3].__setitem__(
        0, {"node": len(r["nodes"]) - 1}
    ),
    "itself": lambda r: nodes_of(r, "linear.default")[0][3].__setitem__(
        0, {"node": r["nodes"].index(nodes_of(r, "linear.default")[0])}
    ),
    "a node before the first": lambda r: nodes_of(r, "linear.default")[0][3].__setitem__(0, {"node": -1}),
    "a node that is True": lambda r: r.update(output=True),
    "no output": lambda r: r.pop("output"),
    "no node": lambda r: r["nodes"].clear(),
    "two inputs": lambda r: r["nodes"].insert(0, [0, 0]),
    "code in the name of an argument": lambda r: nodes_of(r, "linear.default")[0].__setitem__(
        4, {"a=open('{}', 'w')".format("PATH"): 1}
    ),
    "code in the name of a tensor": lambda r: r["nodes"].__setitem__(
        r["nodes"].index("model.norm.weight"), "model.norm.weight, open('PATH', 'w')"
    ),
    "code in the name of a constant": lambda r: r["constants"].update(
        {"a, open('PATH', 'w')": {"dtype": "float32", "shape": [1], "numbers": [1.0]}}
    ),
    "a constant in the place of a weight": lambda r: r["constants"].update(
        {"model.norm.weight": {"dtype": "float32", "shape": [1], "numbers": [1.0]}}
    ),
    "code as a mode": lambda r: nodes_of(r, "gelu.default")[0].__setitem__(
        4, {"approximate": "' + open('PATH')"}
    ),
    "an unknown tensor": lambda r: r["nodes"].__setitem__(
        r["nodes"].index("model.norm.weight"), "norm.weight"
    ),
    "an unknown module": lambda r: r["modules"].append("blocks.7"),
    "an unknown type": lambda r: r["values"][0].update(dtype="Tensor"),
    "a value of no size": lambda r: r["values"][0].update(shape=[-1]),
    "a huge value": lambda r: r["values"][0].update(shape=[2**20, 2**20]),
    "a shape that is not so": lambda r: r["values"].__setitem__(0, r["values"][-1]),
    "another format": lambda r: r.update(format=2),
    "too many nodes": lambda r: r["nodes"].extend(["model.norm.weight"] * 20_000),
    "nodes in a text": lambda r: r.update(nodes="model.norm.weight"),
    "a large literal": lambda r: nodes_of(r, "layer_norm.default")[0][3].__setitem__(1, [2**70]),
    "another literal": lambda r: nodes_of(r, "layer_norm.default")[0][3].__setitem__(4, 0.5),
    "another operation": lambda r: _swap(r, "add.Tensor", "sub.Tensor"),
    "another weight": lambda r: r["nodes"].__setitem__(
        r["nodes"].index("model.blocks.0.norm1.weight"), "model.blocks.0.norm1.bias"
    ),
    "a subnormal weight": lambda r: r["nodes"].reverse(),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_record_is_not_used_and_runs_nothing(what, recorded, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = copy.deepcopy(recorded[1])
    HOSTILE[what](record)
    assert record != recorded[1]
    put(place, json.dumps(record).encode())
    assert place.read() is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept"]


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"format": NaN}', b"1" * 5000]
)
def test_what_is_no_record_is_not_used(data, place):
    put(place, data)
    assert place.read() is None
    cache.write(place.name, data)
    assert place.read() is None


def test_a_record_of_another_tower_is_not_used(place, tiny, folder):
    other = kit.load(TIMM, "random", config=TIMM_CONFIG | {"num_heads": 4})
    elsewhere = place_of(other)
    assert elsewhere.name != place.name
    (folder / elsewhere.name).write_bytes((folder / place.name).read_bytes())
    assert elsewhere.read() is None


def test_a_flipped_byte_is_seen(place, folder):
    whole, dice = (folder / place.name).read_bytes(), random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        (folder / place.name).write_bytes(damaged)
        assert place.read() is None
    (folder / place.name).write_bytes(whole[: len(whole) // 2])
    assert place.read() is None
    (folder / place.name).write_bytes(whole)
    assert place.read() is not None


VALUES = (
    None,
    True,
    -1,
    0,
    1,
    3,
    2**31,
    2**80,
    0.5,
    float("nan"),
    "",
    "x",
    "add.Tensor",
    [],
    [[]],
    {},
    {"node": 0},
)


def mutated(record: object, dice: random.Random) -> object:
    """A record with one thing in it changed, taken out, doubled, or put in another's place."""
    record = copy.deepcopy(record)
    places = []

    def walk(value):
        keys = (
            range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
        )
        for key in keys:
            places.append((value, key))
            walk(value[key])

    walk(record)
    holder, key = dice.choice(places)
    other, where = dice.choice(places)
    how = dice.randrange(5)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif how == 2 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] += dice.choice((-1, 1))
    elif how == 3:
        holder[key] = copy.deepcopy(other[where])
    else:
        holder[key] = dice.choice(VALUES)
    return record


def test_a_changed_record_is_not_used_or_computes_the_same(recorded, place, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dice, picture, used = random.Random(0), pixels(1), 0
    with torch.no_grad():
        truth = tiny.tower(picture)
        for _ in range(200):
            put(place, json.dumps(mutated(recorded[1], dice)).encode())
            module = place.read()
            if module is not None:
                used += 1
                assert (module(picture) - truth).norm() <= 1e-5 * truth.norm()
    assert 0 < used < 60  # a module's path, a value that nothing uses: such changes change no number
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept"]


def test_a_record_that_tells_a_lie_is_made_anew_once_and_replaced(recorded, place, tiny, monkeypatch):
    record = copy.deepcopy(recorded[1])
    HOSTILE["another operation"](record)
    put(place, json.dumps(record).encode())
    rebuilt(json.dumps(record).encode(), tiny.tower, tiny.device)  # nothing in it is unknown
    times, real = [], trace._exported
    monkeypatch.setattr(trace, "_exported", lambda *given: times.append(1) or real(*given))
    model = copy.copy(tiny)
    assert kit.check(model).verdict == "exact" and len(times) == 1
    assert place.read() is not None
    assert kit.check(copy.copy(tiny)).verdict == "exact" and len(times) == 1


@pytest.mark.parametrize("operation", ["abs", "neg", "relu"])
def test_a_lie_that_a_black_picture_would_not_show_is_seen(operation, recorded, place):
    put(place, json.dumps(recorded[1]).encode())
    module = place.read()
    picture = next(n for n in module.graph.nodes if n.op == "placeholder")
    with module.graph.inserting_after(picture):
        lie = module.graph.call_function(getattr(torch.ops.aten, operation).default, (picture,))
    lie.meta = dict(picture.meta)
    picture.replace_all_uses_with(lie, delete_user_cb=lambda user: user is not lie)
    module.recompile()
    black = torch.zeros_like(pixels(1))
    assert torch.equal(module(black), place.read()(black))
    assert place._is_true(place.read()) and not place._is_true(module)


def test_other_versions_and_other_code_make_a_record_anew(tiny, place, monkeypatch, tmp_path):
    now = kept._surroundings()
    monkeypatch.setattr(kept, "_surroundings", lambda: [*now[:-1], "other code"])
    assert place_of(tiny).name != place.name
    monkeypatch.undo()
    for name in kept.CODE:
        (tmp_path / name).write_bytes((Path(kept.__file__).parent / name).read_bytes())
    monkeypatch.setattr(kept, "__file__", str(tmp_path / "kept.py"))
    assert kept._surroundings.__wrapped__() == now
    (tmp_path / "nodes.py").write_text("EXAMPLE_BATCH = 5")
    assert kept._surroundings.__wrapped__() != now
    monkeypatch.undo()
    monkeypatch.setattr(torch, "__version__", "3.0")
    assert kept._surroundings.__wrapped__() != now


def test_what_a_hook_edits_is_not_kept(tiny, folder):
    model = tiny.double()
    handle = model.tower.register_forward_hook(lambda module, args, out: 2 * out)
    with pytest.warns(UserWarning, match="has forward hooks"):
        edited = kit.run(model, pixels().double()).representation
    assert not folder.exists()
    handle.remove()
    plain = kit.run(model, pixels().double()).representation
    assert len(cache.kept()) == 1 and torch.equal(edited, 2 * plain)


def test_nothing_is_kept_where_the_variable_is_empty(tiny, monkeypatch):
    monkeypatch.setenv("KIT_CACHE", "")
    assert place_of(tiny).name is None
    assert trace_of(copy.copy(tiny)).layers == 2


def _full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", ["os.fsync", "os.replace", "pathlib.Path.mkdir"])
def test_a_full_disk_is_borne_in_silence(broken, tiny, folder, monkeypatch, capsys):
    if broken != "pathlib.Path.mkdir":
        folder.mkdir()
    monkeypatch.setattr(broken, _full)
    assert trace_of(copy.copy(tiny)).layers == 2
    monkeypatch.undo()
    assert not folder.exists() or list(folder.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_a_folder_that_cannot_be_is_borne_in_silence(tiny, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "file" / "kept"))
    assert trace_of(copy.copy(tiny)).layers == 2
    assert cache.kept() == [] and cache.clear() == 0 and capsys.readouterr() == ("", "")


def test_what_stands_in_the_place_of_a_file_is_borne_in_silence(tiny, folder):
    (folder / place_of(tiny).name).mkdir(parents=True)
    assert trace_of(copy.copy(tiny)).layers == 2
    assert [p.name for p in folder.iterdir()] == [place_of(tiny).name]


def test_a_slow_recording_says_that_it_is_going_on(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE")
    monkeypatch.setattr(kept, "SLOW", 0.01)
    bar = kept.tqdm(total=2, desc="pictures", mininterval=0)
    with said_if_slow("recording a tower"):
        time.sleep(0.3)
    bar.close()
    lines = capsys.readouterr().err.replace("\r", "\n").split("\n")
    assert "recording a tower" in [line.strip() for line in lines]  # on a line of its own, not behind a bar
    monkeypatch.setattr(kept, "SLOW", 60)
    with said_if_slow("recording a tower"):
        pass
    assert capsys.readouterr().err == ""


def test_a_recording_says_where_later_runs_find_it(tiny, folder, monkeypatch):
    said = []
    real = kept.said_if_slow
    monkeypatch.setattr(trace, "said_if_slow", lambda what: said.append(what) or real(what))
    trace_of(copy.copy(tiny))
    trace_of(copy.copy(tiny))
    assert said == [f"recording {TIMM} once; later runs read it from {folder}"]
