// What an answer means: the decision in words, the slider that moves it, the command that asks the same.

import { draw } from "./chart.js";
import { number, oneIn, percent, say } from "./words.js";

const at = (selector) => document.querySelector(selector);
const slider = at("#level");
let bundle, levels, distance;

/** What `GET /model` said, once it is known. Levels without data behind them cannot be chosen. */
export function know(described) {
  bundle = described;
  levels = bundle.levels.filter((level) => level.operating_point);
  slider.max = levels.length - 1;
  slider.value = levels.findIndex((level) => level.fmr === bundle.default_fmr);
  at("#bundle").textContent = say("bundle", bundle);
  const data = bundle.calibration;
  at("#measured").textContent = data
    ? say("measured", { people: number(data.people), data: data.data })
    : say("unmeasured");
}

/** Shows what `POST /verify` answered; later turns of the slider need no other call. */
export function show(answer, command) {
  distance = answer.distance;
  at("#closeness").textContent = closeness(answer);
  at("#curl").textContent = command;
  at("#copied").textContent = "";
  at("#answer").hidden = false;
  decide();
  at("#verdict").focus();
}

export function hide() {
  at("#answer").hidden = true;
}

function closeness({ fmr_estimate: { value, ci95, at_most }, operating_point }) {
  if (at_most) return say("closer_than_all", { pairs: number(operating_point.impostor_pairs), n: oneIn(value) });
  return say("close", { n: oneIn(value), many: oneIn(ci95[0]), few: oneIn(ci95[1]) });
}

function decide() {
  const { threshold, operating_point: point } = levels[slider.value];
  const same = distance <= threshold;
  at("#verdict").textContent = say(same ? "same" : "different");
  at("#answer").className = same ? "answer same" : "answer different";
  const [low, high] = point.fnmr_ci95.map(percent);
  const sentence = { n: oneIn(point.fmr), missed: percent(point.fnmr), low, high };
  at("#level-words").textContent = say("level_cost", sentence);
  slider.setAttribute("aria-valuetext", say("level", sentence));
  const distances = bundle.calibration?.distances;
  at("#distances").hidden = !distances;
  if (distances) draw(at("#distances"), distances, distance, threshold);
}

slider.addEventListener("input", decide);
new ResizeObserver(() => at("#answer").hidden || decide()).observe(at("#answer"));

at("#copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("#curl").textContent);
    at("#copied").textContent = say("copied");
  } catch {
    getSelection().selectAllChildren(at("#curl")); // pages without TLS, other than this machine's, have no clipboard
    at("#copied").textContent = say("select");
  }
});
