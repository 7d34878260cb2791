import type { components } from "./facepair.js";

declare const process: { argv: string[] };

/** What the program was given: the service's address, and pictures in base64. */
export const given = process.argv.slice(2) as [string, string, string];

/** The answer; throws the code of a problem. */
export function answered<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (data === undefined) throw new Error(error?.code);
  return data;
}

/** The bytes that base64 stands for, as a form's file. */
export function file(base64: string): Blob {
  return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
}
