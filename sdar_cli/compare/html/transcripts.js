// The transcripts, and which of their tasks are shown.
const data = JSON.parse($("data").textContent);
const files = data.files || [];
const texts = data.texts || [];
for (const file of files) file.byTask = new Map(file.episodes.map((episode) => [episode.task, episode]));

const modeName = (file) => (file.mode === "skills" ? "with skills" : "without skills");
const fileName = (file) => `${file.run} · ${file.label}${file.step ? ` ${file.step}` : ""} · ${modeName(file)}`;

// The two that say most: the ends of the first two rows without skills; of a single run, its end beside its base.
function firstPair() {
  const ends = files.filter((file) => file.label !== "base" && file.mode === "no_skills");
  const left = ends[0] || files[0];
  const right = ends.find((file) => file.row !== left.row) || ends.find((file) => file !== left) || files.find((file) => file !== left && file.mode === left.mode) || files.find((file) => file !== left) || left;
  return [files.indexOf(left), files.indexOf(right)];
}

const OUTCOMES = [
  ["all", "all tasks", () => true],
  ["one", "solved by one only", (left, right) => left !== right],
  ["left", "solved on the left only", (left, right) => left && !right],
  ["right", "solved on the right only", (left, right) => right && !left],
  ["both", "solved by both", (left, right) => left && right],
  ["neither", "solved by neither", (left, right) => !left && !right],
];

// Tasks of both sides, in the order of the panel; one that a side lacks counts as not solved there.
function tasksOf(left, right) {
  const found = new Map();
  for (const file of [left, right]) for (const episode of file.episodes) if (!found.has(episode.task)) found.set(episode.task, episode);
  return [...found.values()].map((episode) => ({
    id: episode.task,
    type: episode.type,
    goal: texts[episode.goal],
    left: left.byTask.get(episode.task) || null,
    right: right.byTask.get(episode.task) || null,
  }));
}

const won = (episode) => Boolean(episode && episode.won);

function searched(task) {
  if (task.words === undefined) {
    const parts = [task.id, task.type, task.goal];
    for (const episode of [task.left, task.right]) {
      if (!episode) continue;
      parts.push(texts[episode.last]);
      for (const turn of episode.turns) parts.push(turn.text, turn.action || "", texts[turn.read]);
    }
    task.words = parts.join("\n").toLowerCase();
  }
  return task.words;
}
