// The page: two photos in, one call to the service, an answer or a reason out.

import * as answer from "./answer.js";
import { acceptDropsAndPastes, Photo } from "./photos.js";
import * as service from "./service.js";
import { fill, language, say } from "./words.js";

const at = (selector) => document.querySelector(selector);
const [compare, problem, keyForm] = ["#compare", "#ask > .error", "#key"].map(at);

document.documentElement.lang = language;
fill(document);
const photos = { image1: new Photo("image1", changed), image2: new Photo("image2", changed) };
acceptDropsAndPastes(Object.values(photos));

function changed() {
  compare.disabled = !(photos.image1.file && photos.image2.file);
  problem.textContent = "";
  answer.hide();
}

function explain(error) {
  if (error.code === "unauthorized") {
    keyForm.hidden = false;
    keyForm.querySelector(".error").textContent = service.hasKey() ? service.inWords(error) : "";
    keyForm.querySelector("input").focus();
  } else (photos[error.image]?.problem ?? problem).textContent = service.inWords(error);
}

async function open() {
  try {
    service.know(await service.ask("model"));
    answer.know(service.bundle);
    keyForm.hidden = true;
    document.dispatchEvent(new Event("opened"));
    return true;
  } catch (error) {
    explain(error);
    return false;
  }
}

/** Files that would be refused are not even sent. */
function tooLarge() {
  const large = Object.entries(photos).filter(([, { file }]) => service.isTooLarge(file));
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
  if (service.hasKey()) parts.push("-H 'X-API-Key: YOUR_KEY'");
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
    const verified = await service.ask("verify", form());
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
  if (service.bundle || (await open())) await verify();
});
keyForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  service.useKey(keyForm.querySelector("input").value);
  await open();
});
await open();
