// Draws a figure that Python sends as plotly's JSON, in the colours of JupyterLab's theme, and reports clicks on
// marks. plotly.js comes once for a kernel, packed, in a widget that all charts refer to; a page runs it once.

const CONFIG = { displayModeBar: false, displaylogo: false };
const HEIGHT = 320;  // pixels, where the figure does not say

async function load(model) {
  const held = await model.widget_manager.get_model(model.get("plotly").replace("IPY_MODEL_", ""));
  const packed = new Blob([held.get("code")]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = new Blob([await new Response(packed).blob()], { type: "text/javascript" });
  const script = document.createElement("script");
  script.src = URL.createObjectURL(code);
  try {
    await new Promise((then, fail) => {
      [script.onload, script.onerror] = [then, () => fail(new Error("the browser refused its code"))];
      document.head.appendChild(script);
    });
  } finally {
    URL.revokeObjectURL(script.src);
    script.remove();
  }
  return globalThis.Plotly;
}

function plotlyOfPage(model) {
  globalThis.loupePlotly ??= load(model).catch((error) => {
    globalThis.loupePlotly = undefined;  // the next chart tries again
    throw error;
  });
  return globalThis.loupePlotly;
}

// The theme as plotly's template: it holds wherever the figure's layout says nothing of its own.
function themed(el, layout) {
  const style = getComputedStyle(el), pen = document.createElement("canvas").getContext("2d");
  const colour = (name, otherwise) => {  // in a form that plotly knows; what is no colour changes nothing
    pen.fillStyle = otherwise;
    pen.fillStyle = style.getPropertyValue(name).trim();
    return pen.fillStyle;
  };
  const ink = colour("--jp-content-font-color1", "#212121"), grid = colour("--jp-border-color2", "#e0e0e0");
  const line = colour("--jp-border-color1", "#bdbdbd"), clear = "rgba(0,0,0,0)";
  const font = { color: ink, family: style.getPropertyValue("--jp-ui-font-family").trim() || "system-ui, sans-serif" };
  const axis = { gridcolor: grid, zerolinecolor: line, linecolor: line, tickcolor: line };
  const look = {
    font: { ...font, size: 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize) }, paper_bgcolor: clear, plot_bgcolor: clear, xaxis: axis, yaxis: axis,
    hoverlabel: { bgcolor: colour("--jp-layout-color1", "#ffffff"), bordercolor: line, font },
    coloraxis: { colorbar: { outlinecolor: line } }, legend: { bgcolor: clear },
    shapedefaults: { line: { color: ink } }, annotationdefaults: { arrowcolor: ink },
  };
  const whisker = { color: ink };
  const marks = { bar: [{ error_x: whisker, error_y: whisker }], heatmap: [{ colorbar: { outlinecolor: line, tickcolor: line } }] };
  const own = layout.template || {};
  return { ...layout, width: el.clientWidth, height: layout.height || HEIGHT,
    template: { data: { ...own.data, ...marks }, layout: { ...own.layout, ...look } } };
}

function nameOf(event) {
  for (const { customdata } of event.points) {
    const name = Array.isArray(customdata) || ArrayBuffer.isView(customdata) ? customdata[0] : customdata;
    if (name !== undefined && name !== null) return String(name);
  }
  return null;
}

function render({ model, el }) {
  const make = (parent, tag, name) => {
    const node = parent.appendChild(document.createElement(tag));
    node.className = name;
    return node;
  };
  const root = make(el, "div", "loupe-plotly"), still = make(root, "img", "loupe-plotly-still");
  const ground = make(root, "div", "loupe-plotly-ground"), said = make(el, "div", "loupe-say");
  root.setAttribute("role", "img");
  said.setAttribute("role", "alert");
  said.hidden = true;
  still.alt = "";  // the words are the whole chart's
  let plotly = null, waiting = false, missed = false, wide = 0, drawn = false, gone = false, url = "";

  const tell = (words) => { said.textContent = words; said.hidden = !words; };
  const words = () => root.setAttribute("aria-label", model.get("alt"));

  function showStill() {
    const view = model.get("still");
    URL.revokeObjectURL(url);
    url = !drawn && view?.byteLength ? URL.createObjectURL(new Blob([view], { type: "image/png" })) : "";
    still.hidden = !url;
    if (url) still.src = url;
  }

  function listen() {
    drawn = true;
    showStill();
    ground.on("plotly_click", (event) => {
      const name = nameOf(event);
      if (name !== null) model.send({ picked: name });
    });
    ground.on("plotly_hover", (event) => root.classList.toggle("loupe-plotly-mark", nameOf(event) !== null));
    ground.on("plotly_unhover", () => root.classList.remove("loupe-plotly-mark"));
  }

  async function paint() {
    waiting = false;
    const text = model.get("figure");
    root.hidden = !text;
    if (gone || !text) return;
    try {
      const { data, layout } = JSON.parse(text);
      root.style.minHeight = `${layout.height || HEIGHT}px`;  // nothing below moves when plotly comes
      wide = root.clientWidth;
      if (!wide && !missed) draw();  // hidden for this frame alone, of which no observer tells (a change of theme)
      missed = !wide;
      if (!plotly || !wide) return;
      await plotly.react(ground, data, themed(root, layout), CONFIG);
      if (gone) plotly.purge(ground);
      else if (!drawn) listen();
      tell("");
    } catch (error) {
      tell(`This chart could not be drawn (${error.message}).`);
    }
  }

  const draw = () => { if (!waiting) { waiting = true; requestAnimationFrame(paint); } };
  const size = new ResizeObserver(() => { if (root.clientWidth && root.clientWidth !== wide) draw(); });
  const theme = new MutationObserver(draw);
  size.observe(root);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  model.on("change:figure", draw);
  model.on("change:alt", words);
  model.on("change:still", showStill);
  words();
  showStill();
  draw();
  plotlyOfPage(model).then(
    (loaded) => { plotly = loaded; draw(); },
    (error) => tell(`The live chart could not be loaded (${error.message}); run the cell again to try once more.`));
  return () => {
    gone = true;
    size.disconnect();
    theme.disconnect();
    URL.revokeObjectURL(url);
    if (drawn) plotly.purge(ground);
  };
}

export default { render };
