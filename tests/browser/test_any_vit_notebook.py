"""A person's path through notebook 20 in JupyterLab: pick a name, take apart, click a head, err, go on."""

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import canvases, caption, fill, picture_of, press, says, wait_for

NAME = "20_decomposing_any_vit.ipynb"
TINY = "timm/vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def start_page(opened):
    """Notebook 20, opened and run: the cell with its panel and those it needs; and the page's errors.

    The other cells run under nbval, and nothing of them is looked at here.
    """
    first = "timm/vit_small_patch14_reg4_dinov2"  # a tower whose heads the tests below name
    notebook = lab.cut(NAME, ("import kit", "kit.panels.AnyModel("), (("stickers-swin", first),))
    return opened(notebook)


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def verdict(page) -> str:
    return page.locator(".loupe .loupe-note").first.inner_text()


def cell_of(page, name: str) -> int:
    return int(lab.ask(page, f"print(panel.views['grid'].widget.labels.index({name!r}))"))


def take_apart(page, name: str) -> None:
    page.locator(".loupe").get_by_label("tower", exact=True).fill(name)
    press(page, "take apart")


def test_it_opens_taken_apart(page):
    assert "vit_small_patch14_reg4_dinov2 (random weights, untrained)" in verdict(page)
    assert "exact" in verdict(page) and caption(page) == lab.ask(page, "print(panel.caption)")


def test_the_names_of_both_libraries_can_be_picked(page):
    listed = page.locator(".loupe datalist option")
    names = set(listed.evaluate_all("all => all.map((one) => one.value)"))
    assert {"stickers-l8", "ViT-L-14", "timm/vit_small_patch14_reg4_dinov2", "timm/resnet18"} <= names


def test_a_click_and_an_arrow_key_change_the_map_and_run_no_tower(page):
    heat, grid = canvases(page)
    passes = lab.ask(page, "print(panel.model.passes['image'])")
    before = picture_of(heat)
    lab.click_cell(page, grid, cell_of(page, "L5.H3"))
    wait_for(lambda: caption(page).startswith("L5.H3") and picture_of(heat) != before)
    assert "L5.H3" in heat.get_attribute("aria-label")
    before = picture_of(heat)
    grid.press("ArrowRight")
    wait_for(lambda: caption(page).startswith("L5.H4") and picture_of(heat) != before)
    assert lab.ask(page, "print(panel.model.passes['image'])") == passes


def test_another_name_is_taken_apart_and_says_what_it_does(page):
    heat, grid = canvases(page)
    page.evaluate(
        """() => {
          const note = document.querySelector(".loupe .loupe-row > :last-child .loupe-busy");
          window.told = [];
          const seen = () => note.textContent && window.told.push(note.textContent);
          new MutationObserver(seen).observe(note, { childList: true, characterData: true, subtree: true });
        }"""
    )
    before = picture_of(heat)
    take_apart(page, TINY)
    wait_for(lambda: verdict(page).startswith(TINY), 60)
    told = page.evaluate("window.told")
    assert any("building" in t and TINY in t for t in told) and any("checking the sum" in t for t in told)
    assert "12 of 12 attention layers are parts, 36 heads in all" in verdict(page)
    lab.click_cell(page, grid, cell_of(page, "L11.H2"))
    wait_for(lambda: caption(page).startswith("L11.H2") and picture_of(heat) != before)
    assert not page.locator(".loupe").get_by_role("button", name="take apart").is_disabled()


def test_a_wrong_and_a_refused_name_are_sentences_and_the_last_tower_stays(page):
    shown = verdict(page), caption(page)
    take_apart(page, "timm/vit_tiny_patch16_225")
    wait_for(lambda: f"Nearest: {TINY}" in says(page))
    assert (verdict(page), caption(page)) == shown
    take_apart(page, "timm/resnet18")
    wait_for(lambda: '"timm/resnet18" is refused' in says(page), 60)
    assert (verdict(page), caption(page)) == shown
    assert lab.ask(page, "print(panel.last_error)") == "None"


def test_another_direction_and_picture_change_the_map(page):
    heat, _ = canvases(page)
    for label, value in (("direction", "what sets it apart"), ("picture", "scene 3")):
        before, said = picture_of(heat), caption(page)
        field = page.locator(".loupe").get_by_label(label, exact=True)
        options = field.locator("option").evaluate_all("all => all.map((one) => one.value)")
        field.select_option(next(o for o in options if o.startswith(value)))
        wait_for(lambda before=before, said=said: caption(page) != said and picture_of(heat) != before)
    assert "‘what sets it apart’" in caption(page)


def test_a_state_string_brings_the_same_panel_back(page):
    _, grid = canvases(page)
    field = page.locator(".loupe").get_by_label("state", exact=True)
    lab.click_cell(page, grid, cell_of(page, "L11.H1"))
    wait_for(lambda: caption(page).startswith("L11.H1") and "L11.H1" in field.input_value())
    shown, state = caption(page), field.input_value()
    lab.click_cell(page, grid, cell_of(page, "L0.H0"))
    wait_for(lambda: caption(page).startswith("L0.H0") and "L0.H0" in field.input_value())
    fill(page, "state", state)
    wait_for(lambda: caption(page) == shown)


def test_the_page_had_no_errors(start_page):
    assert start_page[1] == []
