// Verifies, embeds, compares and meets an error; prints what came.

import createClient from "openapi-fetch";
import { answered, file, given } from "./answered.js";
import type { components, paths } from "./facepair.js";

const [address, image1, image2] = given;
const client = createClient<paths>({ baseUrl: address });

const verification = answered(await client.POST("/verify", { body: { image1, image2, faces2: "all" } }));
const uploaded = answered(
  await client.POST("/verify", {
    body: { image1, image2 },
    bodySerializer: (body) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(body)) form.append(name, file(String(value)), name);
      return form;
    },
  }),
);
const one = answered(await client.POST("/embed", { body: { image: image1 } }));
const two = answered(await client.POST("/embed", { body: { image: image2 } }));
const comparison = answered(
  await client.POST("/compare", {
    body: { embedding: one.embedding, others: [two.embedding], contract_id: one.model.contract_id },
  }),
);
const { error } = await client.POST("/embed", { body: { image: btoa("no picture") } });
const warning: components["schemas"]["FaceWarning"] | undefined = verification.faces.image2.warnings[0];
const distances: number[] = [
  verification.distance,
  verification.comparisons?.[0]?.distance ?? NaN,
  uploaded.distance,
  comparison.results[0]?.distance ?? NaN,
];
console.log(JSON.stringify({ same: verification.same, distances, warning, code: error?.code, image: error?.image }));
