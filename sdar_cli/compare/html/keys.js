// The viewer by keyboard alone; no key is taken while a text is written or together with Ctrl, Alt or Meta.
const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  g: () => colourBy(state.colour === "gap" ? "gate" : "gap"),
  s: () => {
    [state.left, state.right] = [state.right, state.left];
    refresh();
  },
  "/": () => {
    $("search").scrollIntoView({ block: "center" });
    $("search").focus();
  },
  "?": () => $("keys").showModal(),
};

if (files.length) {
  openViewer();
  $("help").addEventListener("click", ACTIONS["?"]);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || $("keys").open) return;
    if (event.target.matches("select, textarea, input:not([type=radio])")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (!Object.hasOwn(ACTIONS, event.key)) return;
    event.preventDefault();
    ACTIONS[event.key]();
  });
  $("tasks").addEventListener("keydown", (event) => {
    const index = shown.findIndex((task) => task.id === state.task);
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    choose(next);
  });
}
