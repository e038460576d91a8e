// A response as tokens: one text node each, two classes each (gap and gate), the container says which one counts.
const GAP_STEPS = [0.05, 0.5, 1.5, 4];
const GATE_STEPS = [0.1, 0.35, 0.65, 0.9];

function gapClass(gap) {
  if (gap === null) return "";
  const size = GAP_STEPS.filter((step) => Math.abs(gap) >= step).length;
  return size ? `${gap > 0 ? "g" : "l"}${size}` : "";
}
const gateClass = (gate) => (gate === null ? "" : `s${GATE_STEPS.filter((step) => gate >= step).length}`);

function tokensOf(turn) {
  let start = 0;
  return turn.cuts.map((length, place) => {
    const text = turn.text.slice(start, (start += length));
    const of = (name, scale) => (turn[name] && turn[name][place] !== null ? turn[name][place] / scale : null);
    return { text, gap: of("gap", 1000), gate: of("gate", 100), last: place === turn.cuts.length - 1 };
  });
}

function tokenText(token, turn) {
  if (token.text !== "") return token.text;
  return token.last && !turn.truncated ? "∎" : "·";
}

function tokenWords(token, turn) {
  let name = `“${token.text}”`;
  if (token.text === "") name = token.last && !turn.truncated ? "end of the response" : "part of a character, or a special token";
  if (token.gap === null) return `${name}, no gap`;
  return `${name}, gap ${signed(token.gap, Math.abs(token.gap) < 1 ? 3 : 2)}, gate ${token.gate === null ? "–" : token.gate.toFixed(2)}`;
}

// The response can be focused; arrow keys then go from token to token.
function response(turn, who) {
  const tokens = tokensOf(turn);
  const box = make("p", { class: "response", tabindex: "0", role: "group", "aria-label": `${who}: ${turn.text || "an empty response"}` });
  const spans = tokens.map((token) => {
    const span = document.createElement("span");
    span.textContent = visible(tokenText(token, turn));
    span.className = `${gapClass(token.gap)} ${gateClass(token.gate)}${token.text === "" ? " end" : ""}`.trim();
    return span;
  });
  box.append(...spans);
  let at = -1;
  const leave = () => {
    if (at >= 0) spans[at].classList.remove("at");
    at = -1;
    hideTip();
  };
  const show = (index, spoken) => {
    leave();
    at = index;
    const words = tokenWords(tokens[at], turn);
    const place = spans[at].getBoundingClientRect();
    showTip([make("span", {}, words)], place.left, place.top);
    if (spoken) {
      spans[at].classList.add("at");
      $("readout").textContent = visible(words);
    }
  };
  box.addEventListener("pointerover", (event) => {
    const index = spans.indexOf(event.target);
    if (index >= 0) show(index, false);
  });
  box.addEventListener("pointerleave", leave);
  box.addEventListener("blur", leave);
  box.addEventListener("keydown", (event) => {
    const last = spans.length - 1;
    const next = { ArrowRight: Math.min(at + 1, last), ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), Home: 0, End: last }[event.key];
    if (next === undefined || last < 0) return;
    event.preventDefault();
    show(next, true);
  });
  return box;
}

// The legend of the colours in use.
function scaleOf(colour) {
  if (colour === "none") return [];
  const step = (name, text) => make("i", { class: name }, text);
  if (colour === "gate") {
    const names = ["0", ...GATE_STEPS.map((value) => String(value))];
    return [make("span", { class: "steps by-gate" }, ...names.map((text, place) => step(`s${place}`, place ? `≥${text}` : `<${GATE_STEPS[0]}`))), "gate: weight of the teacher’s word"];
  }
  const less = GAP_STEPS.map((value, place) => step(`l${place + 1}`, `−${value}`)).reverse();
  const more = GAP_STEPS.map((value, place) => step(`g${place + 1}`, `+${value}`));
  return ["skills make it less likely", make("span", { class: "steps by-gap" }, ...less, step("", "0"), ...more), "more likely (nats)"];
}
