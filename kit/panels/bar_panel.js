// One block for each prompt: its name, and a bar for each way of counting. A click, or the arrow
// keys, choose the prompt that the grid and the map are about.

function signed(v, digits = 3) {
  const size = Math.abs(v).toFixed(digits);
  return (v < 0 && Number(size) ? "−" : "+") + size;  // zero has no sign of its own
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "loupe-bars";
  root.setAttribute("role", "radiogroup");
  el.appendChild(root);
  const make = (parent, tag, name, text) => {
    const node = parent.appendChild(document.createElement(tag));
    node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  function choose(i, focus) {
    const n = model.get("texts").length;
    i = (i + n) % n;
    if (model.get("busy")) return;
    model.set("text", i);
    model.save_changes();
    draw();
    if (focus) root.querySelectorAll("[role=radio]")[i].focus();
  }

  function bar(row, value, full, limit, kind, mark) {
    make(row, "span", "loupe-bar-name", kind.name);
    const track = make(row, "span", "loupe-bar-track");
    make(track, "span", "loupe-bar-zero");
    const fill = make(track, "span", `loupe-bar-fill loupe-bar-${kind.look}`);
    const share = Number.isNaN(value) ? 0 : Math.min(1, Math.abs(value) / (limit || 1)) * 50;
    fill.style.width = `${share}%`;
    fill.style.left = value < 0 ? `${50 - share}%` : "50%";
    if (mark !== null) {
      const tick = make(track, "span", "loupe-bar-mark");
      tick.style.left = `${50 + 50 * Math.max(-1, Math.min(1, mark / (limit || 1)))}%`;
      tick.title = `with every part: ${signed(mark)}`;
    }
    make(row, "span", "loupe-bar-value", Number.isNaN(value) ? "–" : signed(value, limit < 0.02 ? 4 : 3));
  }

  function draw() {
    const focused = root.contains(document.activeElement);
    const texts = model.get("texts"), kinds = model.get("kinds"), limit = model.get("limit"), marks = model.get("marks");
    const view = model.get("values");
    const values = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    root.replaceChildren();
    root.setAttribute("aria-label", model.get("alt"));
    texts.forEach((text, t) => {
      const chosen = t === model.get("text");
      const item = make(root, "div", chosen ? "loupe-prompt loupe-chosen" : "loupe-prompt");
      item.setAttribute("role", "radio");
      item.setAttribute("aria-checked", String(chosen));
      item.tabIndex = chosen ? 0 : -1;
      const doubt = model.get("unknown").includes(text) ? ", with a word that the model never saw" : "";
      item.classList.toggle("loupe-unknown", doubt !== "");
      if (doubt) item.title = `‘${text}’${doubt}: its bars say little`;
      item.setAttribute("aria-label", `${text}${doubt}: ${kinds.map((k, i) => `${k.name} ${signed(values[t * kinds.length + i])}`).join(", ")}`);
      make(item, "div", "loupe-prompt-name", doubt ? `? ${text}` : text);
      kinds.forEach((kind, k) => {
        const row = make(item, "div", "loupe-bar");
        bar(row, values[t * kinds.length + k], k, limit, kind, k === 0 && marks.length ? marks[t] : null);
      });
      item.addEventListener("click", () => choose(t, true));
      item.addEventListener("keydown", (e) => {
        const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[e.key];
        if (!step) return;
        e.preventDefault();
        e.stopPropagation();
        choose(t + step, true);
      });
    });
    if (focused) root.querySelector("[aria-checked=true]")?.focus();
    const scale = make(root, "div", "loupe-bar loupe-bar-scale");
    make(scale, "span", "loupe-bar-name");
    const end = limit < 0.02 ? String(Number(limit.toPrecision(2))) : limit.toFixed(2);
    const ends = make(scale, "span", "loupe-bar-ends");
    [`−${end}`, "0", `+${end}`].forEach((t) => make(ends, "span", "", t));
    make(scale, "span", "loupe-bar-value", model.get("unit"));
  }

  for (const name of ["texts", "text", "unknown", "kinds", "values", "limit", "marks", "alt"]) model.on(`change:${name}`, draw);
  draw();
}

export default { render };
