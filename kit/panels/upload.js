// A button for image files. Each is shrunk here, so that no message is larger than a websocket takes, and the next
// is sent when Python has answered for the last; what cannot be sent becomes a sentence.

const SIDE = 1024;  // pixels of the longest side
const SMALL = 2e6, LARGEST = 8e6;  // bytes: sent as it is; sent though the browser cannot read it
const PATIENCE = 30000;  // milliseconds until the reader is told that the kernel has not answered

const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;

// The picture with its longest side at most SIDE: JPEG, or PNG where a pixel is transparent.
async function shrink(bitmap, type) {
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const pixels = type === "image/jpeg" ? [] : pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let kind = "image/jpeg";
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] < 255) { kind = "image/png"; break; }
  const blob = await new Promise((then) => canvas.toBlob(then, kind, 0.95));
  return { content: await blob.arrayBuffer(), shrunk: [canvas.width, canvas.height] };
}

// What is sent for a file, or `{ refused: sentence }`.
async function prepare(file) {
  const asIs = async () => ({ content: await file.arrayBuffer(), shrunk: null });
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  try {
    if (bitmap && (Math.max(bitmap.width, bitmap.height) > SIDE || file.size > SMALL)) return await shrink(bitmap, file.type);
    if (bitmap || file.size <= LARGEST) return await asIs();
    return { refused: `"${file.name}" (${megabytes(file.size)}) is no picture that this browser can read, and a file `
      + `that it cannot shrink may have at most ${megabytes(LARGEST)}; save it as JPEG or PNG and upload that.` };
  } catch (error) {
    return { refused: `"${file.name}" (${megabytes(file.size)}) could not be read (${error.message}); choose it again.` };
  } finally {
    bitmap?.close();
  }
}

function render({ model, el }) {
  const root = el.appendChild(document.createElement("div"));
  root.className = "loupe-upload";
  const button = root.appendChild(document.createElement("button"));
  button.type = "button";
  button.className = "jupyter-button";
  const input = root.appendChild(document.createElement("input"));
  Object.assign(input, { type: "file", accept: "image/*", multiple: true, hidden: true });
  const note = root.appendChild(document.createElement("span"));
  note.className = "loupe-busy";
  note.setAttribute("aria-live", "polite");
  let doing = "", queue = Promise.resolve(), gone = false, waiting = null;

  const draw = () => {
    button.textContent = model.get("label");
    button.title = model.get("tip");
    button.disabled = model.get("disabled");
    note.textContent = model.get("busy") || doing;
  };
  const say = (words) => { doing = words; draw(); };

  // Send, and come back when Python has answered, or after a while without an answer; gives whether it did.
  function answered(message, buffers) {
    const id = `${Date.now()} ${Math.random()}`;
    return new Promise((then) => {
      const patience = setTimeout(() => then(false), PATIENCE);
      waiting = { id, then: () => { clearTimeout(patience); then(true); } };
      model.send({ ...message, id }, undefined, buffers);
    });
  }

  async function send(file) {
    if (gone) return;
    say(`reading ${file.name}…`);
    const { content, shrunk, refused } = await prepare(file);
    say(`sending ${file.name}…`);
    const sent = refused ? answered({ refused }) : answered({ name: file.name, shrunk }, [content]);
    say(await sent ? "" : `${refused || `"${file.name}" was sent`} The kernel has not answered; it is busy, or gone.`);
  }

  const heard = (message) => { if (waiting && message.done === waiting.id) waiting.then(); };
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    for (const file of [...input.files]) queue = queue.then(() => send(file)).catch((error) => say(`"${file.name}" was not sent (${error.message}).`));
    input.value = "";  // the same file can be chosen again
  });
  model.on("msg:custom", heard);
  model.on("change:label", draw);
  model.on("change:busy", draw);
  model.on("change:disabled", draw);
  draw();
  return () => { gone = true; };
}

export default { render };
