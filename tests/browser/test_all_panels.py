"""All panels in one notebook: keys alone reach and move all of it, axe, stills where no kernel is."""

import pytest

from kit.lab.contents import VIEW
from tests.browser import lab
from tests.browser.test_chart_and_upload import change_theme
from tests.browser.test_declared_panel import faults
from tests.browser.test_saved_notebook import DEAD, SAVE, SHUT_DOWN
from tests.browser.test_start_notebook import wait_for

MAKE = """import kit
from kit.models.directions import Directions
model = kit.load("stickers-s16")
scenes = kit.world.draw(40, 1, kind="single")
store = kit.collect(model, scenes, "store", "40 scenes", selector="all", tokens="cls")
means = kit.edits.Means.of(store, name="40 scenes")
prompts = dict(zip(kit.world.VALUES["concept"], kit.world.prompts("concept")))
concepts = ["cat", "dog", "crab"]
directions = Directions(concepts, model.encode_text([prompts[name] for name in concepts]))
asked = [
    kit.edits.ask_classes(model, kit.data.animals(60, seed), kit.data.animal_texts(), f"60 animals, {seed}")
    for seed in (1, 2)
]
tuning = asked[0]
effects = kit.edits.cue_effects(
    tuning.differences(), tuning.labels["y"], tuning.labels["place"], tuning.index
)
panels = {}"""
PANELS = {
    "Explorer": 'model, texts=["a cat", "a dog"]',
    "HeadTokens": 'model, texts=["a cat", "a dog"]',
    "Spans": "model, scenes, store",
    "Segmenter": 'model, kit.world.gallery()[[0, 16]], directions, ["cat", "dog"]',
    "Groups": 'model, asked[1], effects, {"chosen": "L1.H0"}',
    "Retrieval": "model, scenes, store",
    "Ablations": "model, scenes, store, [means]",
    "AnyModel": "model",
    "Ranking": '[kit.align("stickers-deit")], scenes',
    "PlantedMaps": "",
}
# what can be moved by hand: in the order of the page, and only what is seen
CONTROLS = """root => {
  const held = "select, input:not([type=file]), button, canvas[tabindex], [role=slider], [role=radio]";
  const seen = (n) => n.checkVisibility({ visibilityProperty: true }) && n.getBoundingClientRect().width > 0;
  const free = (n) => !n.disabled && (n.getAttribute("role") !== "radio" || n.tabIndex === 0);
  const found = [...root.querySelectorAll(held)].filter((n) => seen(n) && free(n));
  found.forEach((n, i) => n.dataset.hand = i);
  return found.map((n) => [n.tagName.toLowerCase(), n.getAttribute("role") || "", said(n)]);
  function said(n) {
    const label = n.getAttribute("aria-label") || n.textContent.trim();
    return (n.labels?.[0]?.textContent || (n.tagName === "SELECT" ? "" : label) || n.title).slice(0, 40);
  }
}"""
BARE = """root => [...root.querySelectorAll("select, input:not([type=file]), button, [role=slider]")]
  .filter((n) => n.checkVisibility() && !(n.title || n.labels?.[0]?.title || n.closest("[title]")?.title))
  .map((n) => n.outerHTML.slice(0, 120))"""
WORDS = """.loupe-caption, .loupe-head, .loupe-truth, .loupe-bar-name, .loupe-bar-value, .loupe-prompt-name,
  .loupe-strip figcaption, .loupe-table td, .loupe-save-button"""
SIZES = (
    f"""root => [...root.querySelectorAll(`{WORDS}`)].map((n) => parseFloat(getComputedStyle(n).fontSize))"""
)
FOCUSED = """root => {
  const now = document.activeElement;
  return root.contains(now) ? Number(now.dataset.hand ?? -1) : null;
}"""
# a menu of one option, and a map whose tokens are not asked for
FIXED = (
    "n => n.tagName === 'SELECT' ? n.options.length < 2 : n.closest('#Segmenter') && n.tagName === 'CANVAS'"
)
LOADS = ("model", "tower")  # another tower is built: the tests of its own notebook do that
KEYS = {
    "select": ("ArrowDown", "ArrowUp"), "slider": ("ArrowRight", "ArrowLeft"), "radio": ("ArrowDown",),
    "application": ("ArrowRight", "ArrowDown", "Space"), "grid": ("ArrowRight", "ArrowDown", "Space"),
    "canvas": ("ArrowRight", "ArrowDown", "Space"),
}  # fmt: skip
SECONDS, AT_FIRST = 3, 0.5  # in which the last key is answered, and those that may have moved nothing


@pytest.fixture(scope="module")
def start_page(opened):
    """The notebook with all panels, run; the page's errors; its file."""
    made = [
        f"panels[{name!r}] = kit.panels.{name}({given})\npanels[{name!r}]" for name, given in PANELS.items()
    ]
    page, complaints, file = opened(lab.of_cells(MAKE, *made), 1400)
    page.locator(".loupe").nth(len(PANELS) - 1).wait_for(timeout=300_000)
    for place, name in enumerate(PANELS):
        page.locator(".loupe").nth(place).evaluate("(n, name) => n.id = name", name)
    wait_for(lambda: page.locator(".loupe-plotly .main-svg").count() >= 3)
    return page, complaints, file


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def state(page, name: str) -> str:
    return page.locator(f"#{name}").get_by_label("state", exact=True).input_value()


def press(page, name: str, control, keys: tuple[str, ...]) -> bool:
    """Whether one of these keys, pressed in a control of a panel, changes the panel's state."""
    before = state(page, name)
    for key in keys:  # at an end of a menu or of a canvas another key moves
        control.focus()
        page.keyboard.press(key)
        try:
            wait_for(lambda: state(page, name) != before, SECONDS if key == keys[-1] else AT_FIRST)
            return True
        except AssertionError:
            pass
    return False


@pytest.mark.parametrize("name", PANELS)
def test_keys_alone_reach_every_control(page, name):
    panel = page.locator(f"#{name}")
    panel.scroll_into_view_if_needed()
    controls = panel.evaluate(CONTROLS)
    assert len(controls) > 6
    panel.locator("[data-hand='0']").focus()
    seen, last = set(), 0
    for _ in range(3 * len(controls)):
        if (last := panel.evaluate(FOCUSED)) is None:
            break
        seen.add(last)
        page.keyboard.press("Tab")
    assert last is None, "the focus does not leave the panel"
    assert [controls[i] for i in range(len(controls)) if i not in seen] == []


@pytest.mark.parametrize("name", PANELS)
def test_keys_alone_change_the_state(page, name):
    panel, first = page.locator(f"#{name}"), state(page, name)
    moved, stuck, number = [], [], -1
    while (number := number + 1) < len(controls := panel.evaluate(CONTROLS)):  # bars are drawn anew
        tag, role, said = controls[number]
        keys, control = KEYS.get(role or tag, ()), panel.locator(f"[data-hand='{number}']")
        if keys and said not in LOADS and not control.evaluate(FIXED):
            (moved if press(page, name, control, keys) else stuck).append((tag, role, said))
    assert stuck == [] and moved
    assert panel.locator(".loupe-say").first.text_content() == ""
    panel.get_by_label("state", exact=True).fill(first)
    page.keyboard.press("Enter")
    wait_for(lambda: state(page, name) == first, seconds=10)


@pytest.mark.parametrize("name", PANELS)
def test_every_control_says_beside_the_mouse_what_it_is_for(page, name):
    assert page.locator(f"#{name}").evaluate(BARE) == []


def test_text_of_every_panel_follows_the_browsers_size(page):
    found = {}
    for size in (24, 16):
        page.evaluate(f"document.documentElement.style.fontSize = '{size}px'")
        found[size] = [text for name in PANELS for text in page.locator(f"#{name}").evaluate(SIZES)]
    grown = [large / small for large, small in zip(found[24], found[16], strict=True)]
    assert len(grown) > 100 and grown == pytest.approx([1.5] * len(grown), rel=0.01)


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_axe_finds_no_grave_fault_in_any_panel(page, theme):
    change_theme(page, theme)
    assert {name: found for name in PANELS if (found := faults(page, f"#{name}"))} == {}


def test_no_console_error(start_page):
    assert start_page[1] == []


@pytest.fixture(scope="module")
def reopened(start_page, browser, jupyter):
    """The notebook, saved, its kernel ended, opened again."""
    page, _, file = start_page
    page.evaluate(SAVE)
    wait_for(
        lambda: file.read_text("utf-8").count(VIEW) == len(PANELS) and file.read_text("utf-8").endswith("}\n")
    )
    page.evaluate(SHUT_DOWN)
    again = browser.new_page(viewport={"width": 1280, "height": 1400})
    jupyter.open(again, file)
    yield again
    again.close()


@pytest.mark.parametrize("name", PANELS)
def test_after_the_kernel_has_gone_the_still_is_shown(reopened, name):
    cell = reopened.locator(".jp-CodeCell").nth(1 + list(PANELS).index(name))
    still = cell.locator(".jp-OutputArea-output img")
    still.wait_for()
    wait_for(lambda: still.evaluate("i => i.naturalWidth") > 300 and still.is_visible())
    assert DEAD not in cell.inner_text() and not cell.locator(".loupe").count()
