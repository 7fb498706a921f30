// Buttons that ask Python for a file of what the panel shows, and hand it to the browser as a download.

function render({ model, el }) {
  const bar = document.createElement("div");
  bar.className = "loupe-save";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "save what this panel shows");
  const word = document.createElement("span");
  word.textContent = "save as";
  bar.appendChild(word);
  for (const [kind, text, tip] of model.get("kinds")) {
    const button = document.createElement("button");
    button.className = "loupe-save-button";
    button.type = "button";
    button.textContent = text;
    button.title = tip;
    button.addEventListener("click", () => model.send({ save: kind }));
    bar.appendChild(button);
  }
  el.appendChild(bar);

  const answer = (message, buffers) => {
    if (message.copy !== undefined) {
      navigator.clipboard?.writeText(message.copy).catch(() => {});  // the panel shows the lines anyway
      return;
    }
    const address = URL.createObjectURL(new Blob([buffers[0]], { type: message.type }));
    const link = document.createElement("a");
    link.href = address;
    link.download = message.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
  model.on("msg:custom", answer);
  return () => model.off("msg:custom", answer);
}

export default { render };
