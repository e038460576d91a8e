// What is chosen, and the page that follows from it.
const state = { left: 0, right: 0, outcome: "all", type: "", search: "", task: null, colour: "gap" };
let shown = [];
let known = [];

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => make("option", { value, selected: value === chosen ? "" : null }, text)));
  select.value = chosen;
}

function filterTasks() {
  known = tasksOf(files[state.left], files[state.right]);
  const [, , fits] = OUTCOMES.find(([name]) => name === state.outcome);
  const wanted = state.search.toLowerCase().trim();
  shown = known.filter((task) => fits(won(task.left), won(task.right)) && (!state.type || task.type === state.type) && (!wanted || searched(task).includes(wanted)));
  if (!shown.some((task) => task.id === state.task)) state.task = shown.length ? shown[0].id : null;
}

function listTools() {
  const names = files.map((file, index) => [String(index), fileName(file)]);
  options($("left"), names, String(state.left));
  options($("right"), names, String(state.right));
  options($("outcome"), OUTCOMES.map(([name, label, fits]) => [name, `${label} (${known.filter((task) => fits(won(task.left), won(task.right))).length})`]), state.outcome);
  const types = [...new Set(known.map((task) => task.type))].sort();
  if (state.type && !types.includes(state.type)) state.type = "";
  options($("type"), [["", "all types"], ...types.map((type) => [type, type])], state.type);
}

function badge(episode) {
  if (!episode) return make("span", { class: "outcome none", title: "not there" });
  return make("span", { class: `outcome ${episode.won ? "won" : ""}`, title: episode.won ? "solved" : "not solved" }, episode.won ? "✓" : "");
}

function listTasks() {
  $("found").textContent = `${shown.length} of ${known.length} tasks`;
  $("tasks").replaceChildren(
    ...shown.map((task, index) => {
      const chosen = task.id === state.task;
      const said = `${task.goal || task.id}, ${task.type}: left ${won(task.left) ? "solved" : "not solved"}, right ${won(task.right) ? "solved" : "not solved"}`;
      const line = make("li", { role: "option", id: `task-${index}`, "aria-selected": String(chosen), "aria-label": visible(said) }, make("span", { class: "outcomes" }, badge(task.left), badge(task.right)), make("span", {}, task.goal || task.id), make("small", {}, task.type));
      line.addEventListener("click", () => choose(index));
      return line;
    }),
  );
  markTask();
}

function markTask() {
  const index = shown.findIndex((task) => task.id === state.task);
  for (const [place, line] of [...$("tasks").children].entries()) line.setAttribute("aria-selected", String(place === index));
  if (index < 0) return $("tasks").removeAttribute("aria-activedescendant");
  $("tasks").setAttribute("aria-activedescendant", `task-${index}`);
  const list = $("tasks");
  const line = list.children[index];
  const above = line.offsetTop - list.offsetTop;
  if (above < list.scrollTop) list.scrollTop = above;
  if (above + line.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = above + line.offsetHeight - list.clientHeight;
}

function showTask() {
  const task = shown.find((one) => one.id === state.task);
  hideTip();
  if (!task) {
    $("goal").textContent = "No task fits the filters.";
    $("heads").replaceChildren();
    $("turns").replaceChildren();
    return;
  }
  $("goal").textContent = visible(task.goal || task.id);
  $("heads").replaceChildren(head(files[state.left], task.left), head(files[state.right], task.right));
  $("turns").replaceChildren(...turnLines(files[state.left], files[state.right], task));
}

function choose(index) {
  if (!shown.length) return;
  state.task = shown[Math.max(0, Math.min(index, shown.length - 1))].id;
  markTask();
  showTask();
  $("readout").textContent = $("goal").textContent;
}

function move(by) {
  choose(shown.findIndex((task) => task.id === state.task) + by);
}

function colourBy(colour) {
  state.colour = colour;
  $("episode").classList.remove("by-gap", "by-gate", "by-none");
  $("episode").classList.add(`by-${colour}`);
  for (const radio of document.querySelectorAll('input[name="colour"]')) radio.checked = radio.value === colour;
  $("scale").replaceChildren(...scaleOf(colour).map((part) => (typeof part === "string" ? make("span", {}, part) : part)));
}

function refresh() {
  filterTasks();
  listTools();
  listTasks();
  showTask();
}

function openViewer() {
  [state.left, state.right] = firstPair();
  for (const name of ["left", "right"]) $(name).addEventListener("change", () => ((state[name] = Number($(name).value)), refresh()));
  for (const name of ["outcome", "type"]) $(name).addEventListener("change", () => ((state[name] = $(name).value), refresh()));
  $("search").addEventListener("input", () => ((state.search = $("search").value), refresh()));
  for (const radio of document.querySelectorAll('input[name="colour"]')) radio.addEventListener("change", () => colourBy(radio.value));
  $("viewer").hidden = false;
  colourBy("gap");
  refresh();
}
