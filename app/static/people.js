// The second view, where the service has a gallery: who is this, enrolling, the list, erasing.

import { draw } from "./chart.js";
import { acceptDrops, Photo, pictures } from "./photos.js";
import * as service from "./service.js";
import { number, oneIn, percent, say } from "./words.js";

const at = (selector) => document.querySelector(selector);
const [nav, who, enrol, list] = ["nav", "#who", "#enrol", "#list"].map(at);
const [identify, level, outcome, receipt] = ["#identify", "#fpir", "#outcome", "#receipt"].map(at);
const [id, files, results, rows, more] = ["#person-id", "#photos", "#results", "#rows", "#more"].map(at);
const NEAREST = ["nearest", "chart_search"];
const MOST = 10; // photos in a request
let cursor;

const probe = new Photo("probe", () => {
  identify.disabled = !probe.file;
  at("#found").hidden = true;
}, at("#who .photos"));

/** What a key is for shows in what it is answered: a part of the view stays away where the service refuses. */
async function open() {
  [who.hidden, enrol.hidden] = await Promise.all([isRefused(count), isRefused(() => show(true))]);
  list.hidden = enrol.hidden;
  nav.hidden = who.hidden && enrol.hidden;
}

async function isRefused(work) {
  try {
    await work();
    return false;
  } catch ({ code }) {
    return code === "forbidden" || code === "not_found";
  }
}

async function count() {
  const gallery = await service.ask("gallery");
  const chosen = level.value;
  const supported = gallery.operating_points.filter(({ operating_point: point }) => point);
  const options = supported.map(({ fpir }) => new Option(say("named", { n: oneIn(fpir) }), fpir));
  level.replaceChildren(new Option(say("usual_level"), ""), ...options);
  level.value = supported.some(({ fpir }) => String(fpir) === chosen) ? chosen : "";
  at("#enrolled").textContent = say("enrolled_now", { people: number(gallery.people), photos: number(gallery.photos) });
}

async function submit(form, button, waiting, work) {
  const [problem, words] = [form.querySelector(":scope > .error"), button.textContent];
  problem.textContent = "";
  button.disabled = true;
  button.textContent = say(waiting);
  try {
    await work();
  } catch (error) {
    problem.textContent = service.inWords(error);
  }
  button.disabled = false;
  button.textContent = words;
}

async function search() {
  probe.clear();
  if (service.isTooLarge(probe.file)) throw { code: "file_too_large" };
  const form = new FormData();
  form.append("image", probe.file, "photo"); // names tell of people
  form.append("limit", "3");
  if (level.value) form.append("fpir", level.value);
  const found = await service.ask("identify", form);
  probe.explain(found.face);
  tell(found);
}

function tell({ outcome: said, distance, candidates, operating_point: point }) {
  const person = candidates[0]?.person_id;
  const others = candidates.slice(1).map((each) => each.person_id).join(", ");
  const sentences = {
    known: () => say("known", { person }),
    ambiguous: () => say("ambiguous", { person, others }),
    unknown: () => say(distance === null ? "nobody_enrolled" : "unknown"),
  };
  outcome.textContent = sentences[said]();
  at("#found").className = `answer ${{ known: "same", unknown: "different", ambiguous: "" }[said]}`;
  const [low, high] = point.fnir_ci95.map(percent);
  at("#found-level").textContent = say("search_cost", {
    n: oneIn(point.fpir), missed: percent(point.fnir), low, high, people: number(point.people),
  });
  at("#found").hidden = false;
  const distances = service.bundle.calibration?.distances;
  at("#found figure").hidden = !distances || distance === null;
  if (!at("#found figure").hidden) draw(at("#found figure"), distances, distance, point.threshold, NEAREST);
  outcome.focus();
}

function choose(chosen) {
  const transfer = new DataTransfer();
  for (const file of chosen) transfer.items.add(file);
  files.files = transfer.files;
  showChosen();
}

function showChosen() {
  const count = files.files.length;
  at("#photos-hint").textContent = count ? say("chosen", { count }) : say("choose_several");
}

async function add() {
  results.replaceChildren();
  const chosen = [...files.files];
  for (let start = 0; start < chosen.length; start += MOST) await addSome(chosen.slice(start, start + MOST));
  choose([]);
  await refresh();
}

async function addSome(photos) {
  const form = new FormData();
  for (const file of photos) form.append("images", file, "photo");
  if (at("#lenient").checked) form.append("gate", "warn");
  let answered;
  try {
    answered = await service.ask(`people/${encodeURIComponent(id.value)}/photos`, form);
  } catch (error) {
    if (!error.rejected) throw error;
    answered = { accepted: [], rejected: error.rejected };
  }
  const refused = new Map(answered.rejected.map((photo) => [photo.index, photo]));
  const accepted = answered.accepted.values();
  photos.forEach((file, index) => results.append(result(file, refused.get(index), accepted)));
}

/** A photo with what the gate said beside it. */
function result(file, refused, accepted) {
  const [item, image, words] = ["li", "img", "span"].map((name) => document.createElement(name));
  image.alt = "";
  image.src = URL.createObjectURL(file);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src));
  image.addEventListener("error", () => image.remove());
  const photo = refused ? null : accepted.next().value;
  const said = refused ? [inWords(refused)] : photo.warnings.map((code) => inWords({ code }));
  words.textContent = [say(refused ? "refused" : photo.status), ...said].join(" ");
  item.className = refused ? "refused" : "";
  item.append(image, words);
  return item;
}

const inWords = ({ code, person_id: person }) => say(`gate.${code}`, { person }) ?? service.inWords({ code });

async function refresh() {
  if (!who.hidden) await count();
  await show(true);
}

/** A page of the list; the first in place of what is there. */
async function show(first) {
  const page = await service.ask(`people?limit=50${first ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
  cursor = page.next_cursor;
  more.hidden = !cursor;
  const shown = page.people.map(row);
  if (first) rows.replaceChildren(...shown);
  else rows.append(...shown);
  at("#nobody").hidden = rows.children.length > 0;
}

function row({ person_id: person, display_name: name }) {
  const [item, words, erase] = ["li", "span", "button"].map((kind) => document.createElement(kind));
  words.textContent = name ? `${person} · ${name}` : person;
  erase.type = "button";
  erase.textContent = say("erase");
  erase.setAttribute("aria-label", say("erase_whom", { person }));
  erase.addEventListener("click", () => confirmErasing(person));
  item.append(words, erase);
  return item;
}

function confirmErasing(person) {
  const dialog = at("#erasing");
  at("#erasing-title").textContent = say("sure", { person });
  at("#erase").onclick = () => {
    dialog.close();
    submit(list, more, "more", () => eraseNow(person));
  };
  at("#keep").onclick = () => dialog.close();
  dialog.showModal();
}

async function eraseNow(person) {
  const { photos_erased: photos, erased_at: when, audit_id: audit } =
    await service.ask(`people/${encodeURIComponent(person)}`, undefined, "DELETE");
  await refresh();
  at("#found").hidden = true;
  receipt.textContent = say("erased", { person, photos: number(photos), audit, when: new Date(when).toLocaleString() });
  receipt.focus();
}

function turn(people) {
  for (const [selector, shown] of [["#pair", !people], ["#people", people]]) at(selector).hidden = !shown;
  for (const [button, shown] of [["#to-pair", !people], ["#to-people", people]])
    at(button).setAttribute("aria-pressed", shown);
  at("h1").textContent = say(people ? "people" : "question");
  at("#promise").textContent = say(people ? "people_promise" : "promise");
}

at("#to-pair").addEventListener("click", () => turn(false));
at("#to-people").addEventListener("click", () => turn(true));
who.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(who, identify, "searching", search);
});
level.addEventListener("change", () => at("#found").hidden || submit(who, identify, "searching", search));
enrol.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(enrol, at("#add"), "enrolling", add);
});
more.addEventListener("click", () => submit(list, more, "more", () => show(false)));
files.addEventListener("change", showChosen);
acceptDrops(enrol.querySelector(".zone"), choose);
acceptDrops(probe.root, ([file]) => file && probe.take(file));
document.addEventListener("paste", (event) => {
  const [file] = pictures(event.clipboardData);
  if (file && !at("#people").hidden) probe.take(file);
});
document.addEventListener("opened", open);
if (service.bundle) await open();
