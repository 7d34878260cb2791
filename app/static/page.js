// The page: two photos in, one call to the service, an answer or a reason out.

import * as answer from "./answer.js";
import { acceptDropsAndPastes, Photo } from "./photos.js";
import { fill, language, say } from "./words.js";

const at = (selector) => document.querySelector(selector);
const [compare, problem, keyForm] = ["#compare", "#ask > .error", "#key"].map(at);
const PATIENCE = 120_000; // milliseconds: slow networks are no fault
let key = ""; // in memory only
let limits = {};

document.documentElement.lang = language;
fill(document);
const photos = { image1: new Photo("image1", changed), image2: new Photo("image2", changed) };
acceptDropsAndPastes(Object.values(photos));

function changed() {
  compare.disabled = !(photos.image1.file && photos.image2.file);
  problem.textContent = "";
  answer.hide();
}

/** The service's answer. Throws a problem of RFC 9457, or one of this page's own where nothing came. */
async function ask(path, body) {
  let response, content;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      body,
      headers: key ? { "X-API-Key": key } : {},
      signal: AbortSignal.timeout(PATIENCE),
    });
    content = await response.json();
  } catch {
    throw { code: response ? "unknown" : "unreachable" };
  }
  if (!response.ok) throw { ...content, seconds: response.headers.get("Retry-After") };
  return content;
}

function explain({ code, image, seconds }) {
  const sentence = say(`errors.${code}`, {
    megabytes: Math.floor(limits.max_file_bytes / 2 ** 20),
    megapixels: Math.floor(limits.max_pixels / 1e6),
    side: limits.min_side,
  });
  const words = [sentence ?? say("errors.unknown"), seconds ? say("try_again", { seconds }) : ""].join(" ").trim();
  if (code === "unauthorized") {
    keyForm.hidden = false;
    keyForm.querySelector(".error").textContent = key ? words : "";
    keyForm.querySelector("input").focus();
  } else (photos[image]?.problem ?? problem).textContent = words;
}

async function open() {
  try {
    const bundle = await ask("model");
    limits = bundle.limits;
    answer.know(bundle);
    keyForm.hidden = true;
    return true;
  } catch (error) {
    explain(error);
    return false;
  }
}

/** Files that would be refused are not even sent. */
function tooLarge() {
  const large = Object.entries(photos).filter(([, { file }]) => file.size > limits.max_file_bytes);
  for (const [image] of large) explain({ code: "file_too_large", image });
  return large.length > 0;
}

function form() {
  const form = new FormData();
  for (const [name, photo] of Object.entries(photos)) form.append(name, photo.file, "photo"); // names tell of people
  return form;
}

const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;

function command() {
  const parts = Object.entries(photos).map(([name, { file }]) => `-F ${quoted(`${name}=@"${file.name}"`)}`);
  if (key) parts.push("-H 'X-API-Key: YOUR_KEY'");
  return ["curl", ...parts, new URL("verify", location.href)].join(" ");
}

async function verify() {
  problem.textContent = "";
  for (const photo of Object.values(photos)) photo.clear();
  answer.hide();
  if (tooLarge()) return;
  compare.disabled = true;
  compare.textContent = say("comparing");
  try {
    const verified = await ask("verify", form());
    for (const [name, face] of Object.entries(verified.faces)) photos[name].explain(face);
    answer.show(verified, command());
  } catch (error) {
    explain(error);
  }
  compare.disabled = false;
  compare.textContent = say("compare");
}

at("#ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (limits.max_file_bytes || (await open())) await verify();
});
keyForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  key = keyForm.querySelector("input").value;
  await open();
});
await open();
