// Asks the service, and puts its refusals in words; knows no photo and no place on the page.

import { say } from "./words.js";

const PATIENCE = 120_000; // milliseconds: slow networks are no fault
let key = ""; // in memory only
let limits = {};
export let bundle; // what `GET /model` said, once it is known

export const useKey = (given) => void (key = given);
export const hasKey = () => key !== "";
export const know = (described) => void ({ limits } = bundle = described);
export const isTooLarge = (file) => file.size > limits.max_file_bytes;

/** The service's answer. Throws a problem of RFC 9457, or one of this page's own where nothing came. */
export async function ask(path, body, method = body ? "POST" : "GET") {
  let response, content;
  try {
    response = await fetch(path, {
      method,
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

/** A problem as a visitor reads it. */
export function inWords({ code, seconds }) {
  const sentence = say(`errors.${code}`, {
    megabytes: Math.floor(limits.max_file_bytes / 2 ** 20),
    megapixels: Math.floor(limits.max_pixels / 1e6),
    side: limits.min_side,
  });
  return [sentence ?? say("errors.unknown"), seconds ? say("try_again", { seconds }) : ""].join(" ").trim();
}
