// A number tells where it comes from when it is clicked, touched or opened by keyboard.
const shown = document.getElementById("provenance");

function line(name, text) {
  const row = document.createElement("p");
  row.append(Object.assign(document.createElement("b"), { textContent: `${name} ` }), text);
  return row;
}

function openProvenance(fact) {
  const runs = fact.dataset.runs ? fact.dataset.runs.split(" ") : [];
  shown.replaceChildren(
    line("Fact", fact.dataset.fact),
    line("Value", fact.value),
    line("Computed by", fact.dataset.by),
    line(runs.length === 1 ? "Run" : `${runs.length || "No"} runs`, runs.join(", ") || "it comes from the plan"),
  );
  shown.showPopover();
  const place = fact.getBoundingClientRect();
  const left = Math.min(place.left, innerWidth - shown.offsetWidth - 8);
  const above = place.bottom + shown.offsetHeight + 8 > innerHeight;
  shown.style.left = `${Math.max(8, left)}px`;
  shown.style.top = `${above ? Math.max(8, place.top - shown.offsetHeight - 4) : place.bottom + 4}px`;
}

document.addEventListener("click", (event) => {
  const fact = event.target.closest(".fact");
  if (fact) openProvenance(fact);
});
document.addEventListener("keydown", (event) => {
  if (!event.target.matches(".fact") || (event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  openProvenance(event.target);
});

for (const button of document.querySelectorAll("[data-enlarge]")) {
  const dialog = document.getElementById("enlarged");
  button.hidden = false;
  button.addEventListener("click", () => {
    const drawing = document.getElementById(button.dataset.enlarge).querySelector(".drawing");
    dialog.querySelector("div").replaceChildren(drawing.cloneNode(true));
    dialog.showModal();
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

if (innerWidth < 1280) document.querySelector(".contents").open = false;
