// Draws signed numbers on one canvas: tokens over a picture ("map"), or layers by heads ("grid").
// Python sends the numbers and the words; this file only draws, and reports which cells are picked.

const LIGHT = { zero: [247, 247, 247], plus: [[244, 165, 130], [178, 24, 43]], minus: [[146, 197, 222], [33, 102, 172]], share: [[128, 205, 193], [1, 102, 94]] };
const DARK = { zero: [52, 54, 58], plus: [[176, 84, 66], [255, 128, 100]], minus: [[52, 108, 158], [110, 182, 255]], share: [[38, 120, 112], [110, 220, 205]] };
const LEFT = 30, TOP = 18, BAR = 34, GAP = 2;

export function theme(el) {
  const style = getComputedStyle(el);
  const get = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const ground = get("--jp-layout-color1", "#ffffff");
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = ground;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  return {
    scale: 0.299 * r + 0.587 * g + 0.114 * b < 128 ? DARK : LIGHT,
    ground,
    ink: get("--jp-content-font-color1", "#212121"),
    faint: get("--loupe-faint", "#616161"),
    line: get("--jp-border-color1", "#bdbdbd"),
    accent: get("--jp-brand-color1", "#1976d2"),
    font: get("--jp-ui-font-family", "system-ui, sans-serif"),
  };
}

function colour(z, vmax, scale, signed) {
  const t = Math.min(1, Math.abs(z) / (vmax || 1));
  const [half, full] = !signed ? scale.share : z < 0 ? scale.minus : scale.plus;
  const [from, to, s] = t < 0.5 ? [scale.zero, half, 2 * t] : [half, full, 2 * t - 1];
  return from.map((v, i) => Math.round(v + s * (to[i] - v)));
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "loupe-heat";
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");  // it takes keys, which a reader hands to no picture
  root.appendChild(canvas);
  const live = root.appendChild(document.createElement("div"));
  live.className = "loupe-hidden";
  live.setAttribute("aria-live", "polite");
  el.appendChild(root);
  const ctx = canvas.getContext("2d", { willReadFrequently: true });
  const picture = new Image();
  let grey = null, z = new Float32Array(0), boxes = [], hover = -1, focus = -1, waiting = false, room = LEFT, zoom = 1;

  const get = (name) => model.get(name);
  const isMap = () => get("kind") === "map";
  const bare = () => isMap() && z.length > 0 && picture.naturalWidth > 0 && z.every(Number.isNaN);  // the picture as it is
  const floats = (view) => view && view.byteLength
    ? new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)) : new Float32Array(0);

  function readPicture() {
    const view = get("picture");
    grey = null;
    if (!view || !view.byteLength) return draw();
    const url = URL.createObjectURL(new Blob([view], { type: "image/png" }));
    picture.onload = () => { URL.revokeObjectURL(url); draw(); };
    picture.src = url;
  }

  // The picture without its colours, so that red and blue mean the score and nothing else.
  function faded(dark) {
    if (!picture.naturalWidth) return null;
    if (grey && grey.dark === dark) return grey.canvas;
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [picture.naturalWidth, picture.naturalHeight];
    const pen = copy.getContext("2d");
    pen.drawImage(picture, 0, 0);
    const data = pen.getImageData(0, 0, copy.width, copy.height);
    for (let i = 0; i < data.data.length; i += 4) {
      const y = 0.299 * data.data[i] + 0.587 * data.data[i + 1] + 0.114 * data.data[i + 2];
      const shown = dark ? 18 + 0.62 * y : 82 + 0.66 * y;
      data.data[i] = data.data[i + 1] = data.data[i + 2] = shown;
    }
    pen.putImageData(data, 0, 0);
    grey = { canvas: copy, dark };
    return copy;
  }

  function layout(width) {
    const rows = get("rows"), cols = get("cols"), spans = get("spans");
    boxes = [];
    if (isMap()) {
      const side = Math.min(width / cols, 440 / rows);
      const left = (width - side * cols) / 2;
      for (let i = 0; i < rows * cols; i++)
        boxes.push([left + (i % cols) * side, Math.floor(i / cols) * side, side, side]);
      return { left, top: 0, w: side * cols, h: side * rows };
    }
    const cw = (width - room) / cols;
    const ch = Math.max(15, Math.min(46, cw * 0.9, get("tall") / rows));
    for (let i = 0; i < rows * cols; i++) {
      const span = spans.length ? spans[i] : 1;
      boxes.push([room + (i % cols) * cw + GAP / 2, TOP + Math.floor(i / cols) * ch + GAP / 2, cw * span - GAP, ch - GAP]);
    }
    return { left: room, top: TOP, w: cw * cols, h: ch * rows };
  }

  function hatch([x, y, w, h], ink) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(x, y, w, h);
    ctx.clip();
    ctx.strokeStyle = ink;
    ctx.globalAlpha = 0.75;
    ctx.lineWidth = 1.2;
    for (let d = -h; d < w; d += 6) {
      ctx.beginPath();
      ctx.moveTo(x + d, y + h);
      ctx.lineTo(x + d + h, y);
      ctx.stroke();
    }
    ctx.restore();
  }

  // Left of a grid: the longest name of a row, and at most a third.
  function forNames(look, width) {
    ctx.font = `11px ${look.font}`;
    return Math.max(LEFT, Math.min(width / 3, 10 + Math.max(0, ...get("row_names").map((name) => ctx.measureText(name).width))));
  }

  // A name in the room there is: whole, or with each word cut to its first letter, or cut off.
  function fitted(text, room) {
    const fits = (some) => ctx.measureText(some).width <= room;
    if (fits(text)) return text;
    const short = text.replace(/([a-z])[a-z_]+/gi, "$1");
    for (let end = short.length; end > 0; end--) {
      const some = end < short.length ? short.slice(0, end) + "…" : short;
      if (fits(some)) return some;
    }
    return "";
  }

  // What a cell says: its word and a word below, or its number; its name too where no row has it.
  function cellText(i, label, look) {
    const [x, y, w, h] = boxes[i], named = !get("row_names")[Math.floor(i / get("cols"))];
    const word = get("words")[i], mark = get("marks")[i] || "", middle = y + h / 2 + 3.5;
    ctx.font = `${w < 36 ? 9 : word !== undefined ? 11 : 10}px ${look.font}`;
    ctx.textAlign = "center";
    if (word !== undefined) {
      const lines = mark && h >= 27 ? [word, mark] : [word];
      return lines.forEach((line, k) => {
        for (let size = 11; size >= 8.5 && ctx.measureText(line).width > w - 8; size -= 0.5) ctx.font = `${size}px ${look.font}`;
        while (line.length > 1 && ctx.measureText(line).width > (w - 8) / 0.75) line = line.replace(/.…?$/, "…");
        put(line, x + w / 2 + 2, middle + (k - (lines.length - 1) / 2) * 13, w - 8);  // narrower, down to three quarters
        ctx.font = `11px ${look.font}`;
      });
    }
    const number = get("texts")[i] || "", wide = "−" + number.replace(/^[+−]/, "").replace(/\d/g, "0");
    for (let size = 10; size >= 8 && ctx.measureText(wide).width > w - 8; size--) ctx.font = `${size}px ${look.font}`;  // clear of a frame
    const fits = ctx.measureText(wide).width;
    if (!named) return fits <= w - 2 && h >= 12 ? put(number, x + w / 2, middle) : undefined;  // in all cells of a size or in none
    const name = fitted(label, w - 14 - fits);
    ctx.textAlign = "left";
    put(name, x + 4, middle);
    ctx.textAlign = "right";
    if (name) put(number, x + w - 4, middle);
  }

  // Words on their own ground where lines cross the cell.
  let ground = null;
  function put(text, x, y, most) {
    if (ground) {
      ctx.strokeStyle = ground;
      ctx.lineWidth = 4;
      ctx.lineJoin = "round";
      ctx.strokeText(text, x, y, most);
    }
    ctx.fillText(text, x, y, most);
  }

  function drawCell(i, look, map) {
    const [x, y, w, h] = boxes[i], value = z[i], label = get("labels")[i];
    if (!label || bare()) return;
    const missing = value === undefined || Number.isNaN(value);
    const vmax = get("vmax");
    if (missing) {
      ctx.strokeStyle = look.line;
      ctx.lineWidth = 1;
      ctx.setLineDash([2, 3]);
      ctx.strokeRect(x + 1, y + 1, w - 2, h - 2);
      ctx.setLineDash([]);
    } else if (map) {
      ctx.globalAlpha = 0.85 * Math.pow(Math.min(1, Math.abs(value) / (vmax || 1)), 0.75);
      ctx.fillStyle = `rgb(${colour(value < 0 ? -vmax * 0.85 : vmax * 0.85, vmax, look.scale, get("signed"))})`;
      const [left, top] = [Math.round(x), Math.round(y)];  // whole pixels: no seams between neighbours
      ctx.fillRect(left, top, Math.round(x + w) - left, Math.round(y + h) - top);
      ctx.globalAlpha = 1;
    } else {
      const rgb = colour(value, vmax, look.scale, get("signed")), off = get("off").includes(i);
      ctx.fillStyle = `rgb(${rgb})`;
      ctx.fillRect(x, y, w, h);
      if (off) hatch(boxes[i], look.ink);
      if (get("edges")[i]) { ctx.fillStyle = get("edges")[i]; ctx.fillRect(x, y, 5, h); }
      ground = off ? `rgb(${rgb})` : null;
      ctx.fillStyle = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140 ? "#1b1b1b" : "#f5f5f5";
      cellText(i, label, look);
      ground = null;
    }
    if ((missing || map) && get("off").includes(i)) hatch(boxes[i], look.ink);
  }

  function frames(look) {
    for (const i of get("picked")) {
      if (!boxes[i]) continue;
      const [x, y, w, h] = boxes[i];
      ctx.strokeStyle = look.ground;
      ctx.lineWidth = 4;
      ctx.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
      ctx.strokeStyle = look.ink;
      ctx.lineWidth = 2.2;
      ctx.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
    }
    const ring = (i, dash) => {
      if (i < 0 || !boxes[i] || !get("labels")[i]) return;
      const [x, y, w, h] = boxes[i];
      ctx.strokeStyle = look.accent;
      ctx.lineWidth = 2;
      ctx.setLineDash(dash);
      ctx.strokeRect(x + 1, y + 1, w - 2, h - 2);
      ctx.setLineDash([]);
    };
    ring(hover, [3, 2]);
    if (document.activeElement === canvas) ring(focus, []);
  }

  function names(look) {
    ctx.fillStyle = look.faint;
    ctx.font = `11px ${look.font}`;
    ctx.textAlign = "center";
    const cols = get("cols");
    get("col_names").forEach((name, c) => {
      const shown = ctx.measureText("H00").width > boxes[c][2] ? name.replace(/^H(?=\d)/, "") : name;  // of many heads the numbers
      ctx.fillText(shown, boxes[c][0] + boxes[c][2] / 2, TOP - 6, boxes[c][2]);  // narrower where columns are
    });
    ctx.textAlign = "right";
    get("row_names").forEach((name, r) => {
      const [, y, , h] = boxes[r * cols];
      ctx.fillText(fitted(name, room - 8), room - 6, y + h / 2 + 4);
    });
  }

  // Where the object is, by the world's own mask.
  function outline(area, look) {
    const view = get("mask"), [h, w] = get("mask_shape");
    if (!get("outline") || !view || view.byteLength !== h * w) return;
    const on = (r, c) => r >= 0 && c >= 0 && r < h && c < w && view.getUint8(r * w + c) > 0;
    const path = new Path2D(), sx = area.w / w, sy = area.h / h;
    for (let r = 0; r < h; r++) for (let c = 0; c < w; c++) {
      if (!on(r, c)) continue;
      const x = area.left + c * sx, y = area.top + r * sy;
      const edge = (x0, y0, x1, y1) => { path.moveTo(x0, y0); path.lineTo(x1, y1); };
      if (!on(r - 1, c)) edge(x, y, x + sx, y);
      if (!on(r + 1, c)) edge(x, y + sy, x + sx, y + sy);
      if (!on(r, c - 1)) edge(x, y, x, y + sy);
      if (!on(r, c + 1)) edge(x + sx, y, x + sx, y + sy);
    }
    ctx.lineWidth = 3; ctx.strokeStyle = look.scale === DARK ? "#000" : "#fff"; ctx.stroke(path);
    ctx.lineWidth = 1.2; ctx.strokeStyle = look.scale === DARK ? "#fff" : "#000"; ctx.stroke(path);
  }

  function describe(i) {
    const said = [get("labels")[i], get("words")[i], get("marks")[i], bare() ? "" : Number.isNaN(z[i]) ? get("missing") : get("texts")[i]];
    return said.filter(Boolean).join("  ") + (get("off").includes(i) ? "  (off)" : "");
  }

  // Words in lines of some width; the last of too many is cut.
  function wrapped(text, free, most) {
    const lines = [""], wide = (some) => ctx.measureText(some).width;
    for (const word of text.split(" ")) {
      const longer = [lines[lines.length - 1], word].filter(Boolean).join(" ");
      if (wide(longer) > free && lines[lines.length - 1]) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    if (lines.length > most) lines.splice(most, Infinity, lines[most - 1] + "…");
    return lines.slice(0, most).map((line) => {
      while (line.length > 1 && wide(line) > free) line = line.replace(/.…?$/, "…");
      return line;
    });
  }

  // How wide the colour bar is (its numbers do not touch), and where the unit stands: beside it, or below where it would be cut.
  function forBar(area, width, look) {
    ctx.font = `11px ${look.font}`;
    const x = isMap() ? area.left : room, wide = (some) => ctx.measureText(some ?? "").width, [low, high] = get("ends");
    const w = Math.min(width - x - 1, Math.max(Math.min(150, Math.max(118, width * 0.42)), wide(low) + wide(high) + 26));
    const free = width - x - w - 12, unit = get("unit"), below = wrapped(unit, free, 3).some((line, k) => k > 1 || !unit.includes(line));
    const lines = below ? Math.max(1, Math.min(2, wrapped(unit, width - x, 9).length)) : 2;
    return { x, w, free: below ? width - x : free, lines, below, tall: BAR + (below ? 13 * lines + 2 : 0) };
  }

  function colourBar(area, bar, look) {
    const y = area.top + area.h + 8, vmax = get("vmax"), [low, high] = get("ends"), both = get("signed"), { x, w } = bar;
    if (bare()) {
      const i = hover >= 0 ? hover : (document.activeElement === canvas ? focus : -1);
      ctx.fillStyle = look.ink;
      ctx.font = `11px ${look.font}`;
      ctx.textAlign = "left";
      return ctx.fillText(i >= 0 ? describe(i) : "", x, y + 8);
    }
    for (let i = 0; i < w; i++) {
      const share = (i + 0.5) / w;
      ctx.fillStyle = `rgb(${colour((both ? 2 * share - 1 : share) * vmax, vmax, look.scale, both)})`;
      ctx.fillRect(x + i, y, 1.5, 8);
    }
    ctx.strokeStyle = look.line;
    ctx.lineWidth = 1;
    ctx.strokeRect(x + 0.5, y + 0.5, w, 7);
    ctx.fillStyle = look.faint;
    ctx.font = `11px ${look.font}`;
    ctx.textAlign = "left";
    ctx.fillText(low ?? "", x, y + 21);
    ctx.textAlign = "center";
    if (both && ctx.measureText(`${low}${high}`).width < w - 18) ctx.fillText("0", x + w / 2, y + 21);
    ctx.textAlign = "right";
    ctx.fillText(high ?? "", x + w, y + 21);
    ctx.textAlign = "left";
    const i = hover >= 0 ? hover : (document.activeElement === canvas ? focus : -1);
    const known = i >= 0 && get("labels")[i];
    ctx.fillStyle = known ? look.ink : look.faint;
    const text = known ? describe(i) : get("unit");
    const [left, top] = bar.below ? [x, y + 36] : [x + w + 12, y + 8];
    wrapped(text, bar.free, bar.lines).forEach((line, k) => ctx.fillText(line, left, top + 13 * k));
  }

  function paint() {
    waiting = false;
    zoom = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;  // the browser's size of text
    const width = Math.floor(root.clientWidth) / zoom;
    if (!width || !get("rows")) return;
    z = floats(get("z"));
    const look = theme(root);
    room = forNames(look, width);
    const area = layout(width), ratio = zoom * (window.devicePixelRatio || 1);
    const bar = forBar(area, width, look), height = Math.ceil(area.top + area.h + bar.tall);
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      [canvas.style.width, canvas.style.height] = [`${width * zoom}px`, `${height * zoom}px`];
    }
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    if (isMap()) {
      const base = bare() ? picture : faded(look.scale === DARK);
      ctx.imageSmoothingQuality = "high";
      if (base) ctx.drawImage(base, area.left, area.top, area.w, area.h);
    } else names(look);
    for (let i = 0; i < boxes.length; i++) drawCell(i, look, isMap());
    if (isMap()) outline(area, look);
    frames(look);
    colourBar(area, bar, look);
    canvas.setAttribute("aria-label", `${get("alt")} Arrow keys move, space picks.`);
    canvas.dataset.boxes = JSON.stringify(boxes.map((b) => b.map((v) => Math.round(v * zoom * 10) / 10)));
  }

  const draw = () => { if (!waiting) { waiting = true; requestAnimationFrame(paint); } };

  function at(event) {
    const frame = canvas.getBoundingClientRect();
    const x = (event.clientX - frame.left) / zoom, y = (event.clientY - frame.top) / zoom;
    return boxes.findIndex(([bx, by, w, h], i) => get("labels")[i] && x >= bx && x < bx + w + GAP && y >= by && y < by + h + GAP);
  }

  function pick(i, add) {
    if (i < 0 || get("busy")) return;
    focus = i;
    const old = get("picked");
    let now = add || get("switches") ? (old.includes(i) ? old.filter((j) => j !== i) : [...old, i]) : [i];
    if (isMap() && !add && !get("switches") && old.length === 1 && old[0] === i) now = [];
    model.set("picked", now);
    model.save_changes();
    draw();
  }

  function step(dr, dc) {
    const rows = get("rows"), cols = get("cols"), labels = get("labels");
    let r = Math.floor(Math.max(focus, 0) / cols), c = Math.max(focus, 0) % cols;
    if (focus < 0) return get("picked").length ? get("picked")[0] : labels.findIndex((l) => l);
    for (;;) {
      r += dr; c += dc;
      if (r < 0 || c < 0 || r >= rows || c >= cols) return focus;
      if (labels[r * cols + c]) return r * cols + c;
      // a wide cell starts further left
      if (dr) for (let k = c; k >= 0; k--) if (labels[r * cols + k]) return r * cols + k;
    }
  }

  canvas.addEventListener("click", (e) => { canvas.focus(); pick(at(e), e.shiftKey || e.metaKey || e.ctrlKey); });
  canvas.addEventListener("mousemove", (e) => { const i = at(e); if (i !== hover) { hover = i; canvas.style.cursor = i < 0 ? "default" : "pointer"; draw(); } });
  canvas.addEventListener("mouseleave", () => { hover = -1; draw(); });
  canvas.addEventListener("focus", () => { if (focus < 0 && get("picked").length) focus = get("picked")[0]; draw(); });
  canvas.addEventListener("blur", draw);
  canvas.addEventListener("keydown", (e) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    if (move) {
      hover = -1;
      const to = step(...move);
      if (e.shiftKey || get("switches")) { focus = to; live.textContent = describe(to); draw(); } else pick(to, false);
    } else if (e.key === " " || e.key === "Enter") pick(focus, true);
    else if (e.key === "Escape" && isMap()) { model.set("picked", []); model.save_changes(); draw(); }
    else return;
    e.preventDefault();
    e.stopPropagation();  // the notebook has its own use for these keys
  });

  model.on("change:picture", readPicture);
  model.on("change:picked", () => { const p = get("picked"); if (p.length === 1) focus = p[0]; });
  for (const name of ["z", "vmax", "rows", "cols", "labels", "spans", "row_names", "col_names", "picked", "off", "alt", "unit", "kind", "mask", "outline", "busy", "signed", "texts", "words", "marks", "edges"])
    model.on(`change:${name}`, draw);
  const sizes = new ResizeObserver(draw);
  sizes.observe(root);
  const themes = new MutationObserver(draw);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  readPicture();
  return () => { sizes.disconnect(); themes.disconnect(); };
}

export default { render };
