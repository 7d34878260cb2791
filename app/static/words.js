// What the page says, in the visitor's language; knows nothing of photos or answers.

const LANGUAGES = ["en", "ru"];

export const language = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => LANGUAGES.includes(tag)) ?? "en";

const words = await (await fetch(new URL(`${language}.json`, import.meta.url))).json();

/** The sentence of this name ("errors.no_face"), its {places} filled; undefined where there is none. */
export function say(name, values = {}) {
  const sentence = name.split(".").reduce((part, key) => part?.[key], words);
  return sentence?.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export const number = (value) => value.toLocaleString(language, { maximumFractionDigits: 4 });

export const percent = (share) => share.toLocaleString(language, { style: "percent", maximumSignificantDigits: 2 });

/** The N of "1 in N". */
export const oneIn = (share) => (share > 0 ? number(Number((1 / share).toPrecision(2))) : "∞");

/** Fills every element that names a sentence, in a document or a part of one. */
export function fill(part) {
  for (const element of part.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
}
