// Read-outs: the values at the place under the pointer, or at the one that the arrow keys have reached.
for (const chart of document.querySelectorAll(".chart")) {
  const places = JSON.parse(chart.dataset.readout);
  const svg = chart.querySelector("svg");
  const hair = chart.querySelector(".hair");
  let at = -1;

  const show = (index) => {
    at = index;
    const [x, head, lines] = places[at];
    hair.setAttribute("x1", x);
    hair.setAttribute("x2", x);
    hair.setAttribute("visibility", "visible");
    const said = lines.map(([own, label, text]) => make("span", {}, make("i", { class: `swatch ${own}` }), label ? `${label}: ${text}` : text));
    const box = svg.getBoundingClientRect();
    showTip([make("strong", {}, head), ...said], box.left + (x * box.width) / svg.viewBox.baseVal.width, box.top + 20);
    tip.setAttribute("role", "status");
  };
  const hide = () => {
    at = -1;
    hair.setAttribute("visibility", "hidden");
    hideTip();
  };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
    return places.reduce((best, place, index) => (Math.abs(place[0] - x) < Math.abs(places[best][0] - x) ? index : best), 0);
  };
  svg.addEventListener("pointermove", (event) => show(nearest(event)));
  svg.addEventListener("pointerleave", hide);
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    const last = places.length - 1;
    const next = { ArrowRight: Math.min(at + 1, last), ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), Home: 0, End: last }[event.key];
    if (event.key === "Escape") hide();
    if (next === undefined) return;
    event.preventDefault();
    show(next);
  });
}
