// The two places for photos: choosing, dropping, pasting, the camera, and what the service said of each face.

import { fill, say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const UNKNOWN_TYPES = /\.p[gp]m$/i; // pictures that the service reads and that browsers have no type for
const dialog = document.querySelector("#camera");

/** A photo's place. `changed` is called whenever another file lies in it. */
export class Photo {
  file = null;

  constructor(name, changed, place = document.querySelector(".photos")) {
    const part = document.querySelector("#photo").content.cloneNode(true);
    fill(part);
    this.root = part.firstElementChild;
    this.root.id = name;
    const at = (selector) => this.root.querySelector(selector);
    [this.input, this.hint, this.picture, this.image, this.boxes, this.problem, this.warnings] =
      ["input", ".hint", ".picture", "img", "svg", ".error", ".warnings"].map(at);
    at("h2").textContent = say(name);
    at("h2").id = `${name}-title`;
    this.hint.id = `${name}-hint`;
    this.problem.id = `${name}-problem`;
    this.root.setAttribute("aria-labelledby", at("h2").id);
    this.input.setAttribute("aria-labelledby", `${at("h2").id} ${this.hint.id}`);
    this.input.setAttribute("aria-describedby", this.problem.id);
    this.changed = changed;
    this.input.addEventListener("change", () => this.input.files.length && this.take(this.input.files[0]));
    this.image.addEventListener("load", () => this.show(true));
    this.image.addEventListener("error", () => this.show(false));
    const camera = at(".camera");
    camera.hidden = !navigator.mediaDevices?.getUserMedia;
    camera.addEventListener("click", () => photograph(this));
    place.append(part);
  }

  take(file) {
    this.file = file;
    URL.revokeObjectURL(this.image.src);
    this.image.src = URL.createObjectURL(file);
    this.clear();
    this.changed();
  }

  show(visible) {
    this.picture.hidden = !visible;
    this.hint.textContent = visible ? say("choose") : say("no_preview", { name: this.file.name });
    this.boxes.setAttribute("viewBox", `0 0 ${this.image.naturalWidth} ${this.image.naturalHeight}`);
  }

  /** Forgets what the service said. */
  clear() {
    this.problem.textContent = "";
    this.warnings.replaceChildren();
    this.boxes.replaceChildren();
  }

  explain(face) {
    const box = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries(face.box)) box.setAttribute(name, value);
    this.boxes.replaceChildren(box);
    const values = { count: face.count, size: face.quality.size_px };
    for (const warning of face.warnings) {
      const item = document.createElement("li");
      item.textContent = say(`warnings.${warning}`, values) ?? warning;
      this.warnings.append(item);
    }
  }
}

/** The pictures among files dropped or pasted. */
export const pictures = (transfer) =>
  [...transfer.files].filter((file) => file.type.startsWith("image/") || UNKNOWN_TYPES.test(file.name));

/** Gives `take` the pictures that are dropped on an element. */
export function acceptDrops(root, take) {
  root.addEventListener("dragenter", () => root.classList.add("over"));
  root.addEventListener("dragleave", (event) => root.contains(event.relatedTarget) || root.classList.remove("over"));
  root.addEventListener("drop", (event) => {
    root.classList.remove("over");
    take(pictures(event.dataTransfer));
  });
}

/** The first goes to `photo`, a second one to its neighbour. */
function spread(files, photo, neighbour) {
  if (files[0]) photo.take(files[0]);
  if (files[1]) neighbour.take(files[1]);
}

export function acceptDropsAndPastes([one, two]) {
  for (const pair of [[one, two], [two, one]]) acceptDrops(pair[0].root, (files) => spread(files, ...pair));
  // A file dropped beside the places would otherwise be opened instead of the page.
  for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
  document.addEventListener("paste", (event) => {
    if (one.root.offsetParent === null) return; // another view is shown
    const pointed = two.root.contains(document.activeElement) || (one.file && !two.file);
    spread(pictures(event.clipboardData), ...(pointed ? [two, one] : [one, two]));
  });
}

async function photograph(photo) {
  const video = dialog.querySelector("video");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  } catch {
    photo.problem.textContent = say("camera_failed");
    return;
  }
  dialog.querySelector("#take").onclick = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => photo.take(new File([blob], "camera.jpg", { type: blob.type })), "image/jpeg", 0.95);
    dialog.close();
  };
  dialog.querySelector("#leave").onclick = () => dialog.close();
  dialog.addEventListener("close", () => video.srcObject.getTracks().forEach((track) => track.stop()), { once: true });
  dialog.showModal();
}
