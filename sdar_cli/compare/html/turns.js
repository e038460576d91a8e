// One task under two transcripts, turn beside turn.
const LONG = 260;

function folded(text, label) {
  if (text.length <= LONG) return make("p", { class: "reads" }, text);
  const cut = visible(text.slice(0, 110).trim());
  return make("details", { class: "fold" }, make("summary", {}, label ? `${label} ` : "", make("span", { class: "cut" }, `${cut} …`)), make("p", { class: "reads" }, text));
}

function head(file, episode) {
  const who = make("div", { class: "who" }, make("i", { class: `swatch ${file.row < 7 ? `c${file.row}` : "cx"}` }), make("span", {}, data.rows[file.row] || file.run));
  const how = make("div", { class: "how" }, fileName(file));
  if (!episode) return make("div", { class: "head" }, who, how, make("p", { class: "over" }, "not in this transcript"));
  const turns = `${episode.turns.length} turn${episode.turns.length === 1 ? "" : "s"}`;
  const result = make(
    "div",
    {},
    make("span", { class: `tag ${episode.won ? "won" : ""}` }, episode.won ? "solved" : "not solved"),
    ` ${turns}, ended by ${episode.stop.replaceAll("_", " ")}, return ${Number(episode.reward).toFixed(2)}`,
  );
  const parts = [who, how, result];
  if (episode.error) parts.push(make("p", { class: "invalid" }, episode.error));
  if (episode.skills.length) {
    const read = file.mode === "skills" ? "Skills in its prompt: " : "Skills behind the gap: ";
    const bodies = episode.skills.map((name) => make("p", { class: "reads" }, make("strong", {}, name), `\n${texts[file.skills[name]] ?? ""}`));
    parts.push(make("details", { class: "fold" }, make("summary", {}, read + episode.skills.join(", ")), ...bodies));
  }
  if (texts[episode.prompt]) parts.push(make("details", { class: "fold" }, make("summary", {}, "The first turn’s whole prompt"), make("p", { class: "reads" }, texts[episode.prompt])));
  return make("div", { class: "head" }, ...parts);
}

function side(file, episode, index, who) {
  if (!episode) return make("div", {});
  const turn = episode.turns[index];
  if (!turn) {
    const ended = index === episode.turns.length;
    return make("div", {}, ended ? make("p", { class: "over" }, "The episode is over.") : null, ended ? folded(texts[episode.last], "") : null);
  }
  return make(
    "div",
    {},
    folded(texts[turn.read], "Reads"),
    response(turn, `${who}, turn ${index + 1}`),
    make("p", { class: "does" }, make("span", { class: "word" }, "does"), turn.action === null ? "nothing" : turn.action, turn.reward ? make("small", {}, `  reward ${signed(turn.reward, 2)}`) : null),
    turn.invalid ? make("p", { class: "invalid" }, `invalid: ${turn.invalid}`) : null,
    turn.truncated ? make("p", { class: "invalid" }, "cut at the token limit") : null,
  );
}

function turnLines(left, right, task) {
  const lengths = [task.left, task.right].map((episode) => (episode ? episode.turns.length : 0));
  const most = Math.max(...lengths);
  const lines = [];
  let parted = false;
  for (let index = 0; index < most; index += 1) {
    const [one, two] = [task.left, task.right].map((episode) => episode && episode.turns[index]);
    const differ = !parted && one && two && one.action !== two.action;
    parted = parted || differ;
    const name = make("div", { class: "mark-line" }, `Turn ${index + 1}`, differ ? make("span", { class: "tag" }, "first difference") : null);
    lines.push(make("li", { class: "turn" }, name, make("div", { class: "pair" }, side(left, task.left, index, "Left"), side(right, task.right, index, "Right"))));
  }
  const ends = [task.left, task.right].map((episode, place) => (episode && lengths[place] === most ? make("div", {}, folded(texts[episode.last], "At the end"), make("p", { class: "over" }, "The episode is over.")) : make("div", {})));
  if (most) lines.push(make("li", { class: "turn" }, make("div", { class: "pair" }, ...ends)));
  return lines;
}
