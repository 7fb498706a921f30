// Buttons in a row, each of which brings a panel to a stop, and the sentence of the stop that it stands at.

function render({ model, el }) {
  const row = document.createElement("div");
  row.className = "loupe-guide";
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", model.get("name"));
  const buttons = model.get("labels").map((label, number) => {
    const button = document.createElement("button");
    button.className = "loupe-save-button";
    button.type = "button";
    button.textContent = `${number + 1} ${label}`;
    button.addEventListener("click", () => model.send({ stop: number }));
    row.appendChild(button);
    return button;
  });
  const says = document.createElement("div");
  says.className = "loupe-note";
  says.setAttribute("aria-live", "polite");
  const draw = () => {
    buttons.forEach((button, number) => button.setAttribute("aria-pressed", number === model.get("at")));
    says.textContent = model.get("sentence");
  };
  model.on("change:sentence", draw);
  model.on("change:at", draw);
  el.append(row, says);
  draw();
}

export default { render };
