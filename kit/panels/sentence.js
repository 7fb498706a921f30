// What ipywidgets and JupyterLab leave to do in the panel of `el`; gives what ends it. A slider has no name that a
// screen reader says: it takes that of the label beside it, and so do toggles, which say too what is pressed; the
// buttons of a film show signs alone. A control whose label stands beside it shows no tip. JupyterLab takes plain keys from a menu (an arrow moves to
// another cell, "a" makes one, "d" twice deletes one): in a panel they are the panel's.
const FILM = ["play or pause", "stop", "repeat"];

function tend(el, tips) {
  let gone = false;
  const name = (panel) => {
    for (const label of panel.querySelectorAll(".widget-label"))
      if (tips[label.textContent]) label.parentElement.title = tips[label.textContent];
    for (const slider of panel.querySelectorAll(".widget-slider"))
      for (const handle of slider.querySelectorAll("[role=slider]"))
        handle.setAttribute("aria-label", slider.querySelector(".widget-label").textContent);
    for (const toggles of panel.querySelectorAll(".widget-toggle-buttons")) {
      toggles.setAttribute("role", "group");
      toggles.setAttribute("aria-label", toggles.querySelector(".widget-label").textContent);
      for (const button of toggles.querySelectorAll("button"))
        button.setAttribute("aria-pressed", button.classList.contains("mod-active"));
    }
    for (const film of panel.querySelectorAll(".widget-play"))
      film.querySelectorAll("button").forEach((button, n) => {
        button.setAttribute("aria-label", FILM[n]);
        button.title = FILM[n];
      });
  };
  const keep = (e) => {
    const forLab = e.ctrlKey || e.metaKey || e.altKey || (e.shiftKey && e.key === "Enter");
    if (!forLab) e.stopPropagation();
  };
  const seen = new MutationObserver(([change]) => name(change.target.closest(".loupe") ?? change.target));
  function watch() {
    const panel = el.closest(".loupe");
    if (!panel) return gone || requestAnimationFrame(watch);  // it does not stand in its panel yet
    panel.addEventListener("keydown", keep);
    seen.observe(panel, { childList: true, subtree: true, attributeFilter: ["class"] });
    name(panel);
  }
  watch();
  return () => { gone = true; seen.disconnect(); };
}

// A line of words that a screen reader hears when it changes; empty words take no room.
function render({ model, el }) {
  const node = document.createElement(model.get("look") === "code" ? "pre" : "div");
  el.appendChild(node);
  if (model.get("look") === "say") node.setAttribute("role", "alert");
  else if (model.get("live")) node.setAttribute("aria-live", "polite");
  const draw = () => {
    const text = model.get("text"), from = text.indexOf(model.get("strong"));
    node.className = `loupe-${model.get("look")}`;
    node.hidden = !text;
    node.textContent = text;
    if (model.get("strong") && from >= 0) {
      const bold = document.createElement("b");
      bold.textContent = model.get("strong");
      node.replaceChildren(text.slice(0, from), bold, text.slice(from + bold.textContent.length));
    }
  };
  // One sentence, in place of clicks that do nothing: no widget hears of its kernel's end but in the browser.
  if (model.get("look") === "say")
    model.on("comm_live_update", () => {
      node.hidden = false;
      node.textContent = "The kernel of this panel has ended: run its cell again.";
    });
  model.on("change:text", draw);
  model.on("change:strong", draw);
  draw();
  if (model.get("look") === "say") return tend(el, model.get("tips"));  // one of these stands in each panel
}

export default { render };
