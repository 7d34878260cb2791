// Two histograms of distances, a threshold and one distance, as SVG as wide as the page lets it be.

import { number, say } from "./words.js";

const [HEIGHT, TOP, BOTTOM] = [230, 28, 52]; // pixels: all of it, and the margins above and below the curves
const FONT = 14;
const PAIR = ["these_two", "chart"]; // what the mark and the chart are called

/** Into a figure with an `svg` and a `figcaption`. `edges` are one more than the counts of each kind. */
export function draw(figure, { edges, impostor, genuine }, distance, threshold, [mark, chart] = PAIR) {
  const svg = figure.querySelector("svg");
  const width = figure.clientWidth;
  const end = Math.max(edges.at(-1), distance * 1.02);
  const x = (value) => (value / end) * width;
  const floor = HEIGHT - BOTTOM;
  const kinds = { impostor: shares(impostor), genuine: shares(genuine) };
  const highest = Math.max(...kinds.impostor, ...kinds.genuine);
  const y = (share) => floor - (share / highest) * (floor - TOP);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("height", HEIGHT);
  svg.replaceChildren(
    ...Object.entries(kinds).map(([kind, each]) => shape("path", { class: kind, d: outline(each, edges, x, y) })),
    ...ticks(end).map((tick) => text(x(tick), floor + FONT + 3, number(tick), "tick")),
    line(0, floor, width, floor, "axis"),
    line(x(threshold), TOP - 6, x(threshold), floor, "threshold"),
    text(x(threshold), FONT, say("threshold", { threshold: number(threshold) }), "threshold"),
    line(x(distance), TOP - 6, x(distance), HEIGHT - FONT - 8, "distance"),
    text(x(distance), HEIGHT - 5, say(mark, { distance: number(distance) }), "distance"),
  );
  for (const element of svg.querySelectorAll("text")) keepInside(element, width);
  const total = (counts) => number(counts.reduce((sum, count) => sum + count, 0));
  figure.querySelector("figcaption").textContent = say(chart, {
    impostors: total(impostor),
    genuines: total(genuine),
    threshold: number(threshold),
    distance: number(distance),
  });
}

function shares(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (total ? count / total : 0));
}

function outline(shares, edges, x, y) {
  const steps = shares.map((share, bin) => `H${x(edges[bin])}V${y(share)}H${x(edges[bin + 1])}`);
  return `M${x(edges[0])},${y(0)}${steps.join("")}V${y(0)}Z`;
}

function ticks(end) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5].find((each) => end / each <= 6) ?? end;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => Math.round(index * step * 10) / 10);
}

function shape(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const line = (x1, y1, x2, y2, kind) => shape("line", { x1, y1, x2, y2, class: kind });

function text(x, y, words, kind) {
  const element = shape("text", { x, y, class: kind });
  element.textContent = words;
  return element;
}

/** Words are centred on their place, but for those that would leave the picture. */
function keepInside(element, width) {
  const half = element.getComputedTextLength() / 2;
  element.setAttribute("x", Math.min(Math.max(element.getAttribute("x"), half), width - half));
}
