// Enrols a person with one photo, identifies the person by another, and erases the person; prints what came.

import createClient from "openapi-fetch";
import { answered, file, given } from "./answered.js";
import type { paths } from "./facepair.js";

const [address, photo, another] = given;
const client = createClient<paths>({ baseUrl: address });
const person = { params: { path: { person_id: "E1" } } };

const enrolment = answered(
  await client.POST("/people/{person_id}/photos", {
    ...person,
    body: { images: [photo] },
    bodySerializer: ({ images }) => {
      const form = new FormData();
      for (const image of images) form.append("images", file(image), "photo");
      return form;
    },
  }),
);
const statuses = enrolment.accepted.map(({ status }) => status);
const before = answered(await client.POST("/identify", { body: { image: another } }));
const receipt = answered(await client.DELETE("/people/{person_id}", person));
const after = answered(await client.POST("/identify", { body: { image: another } }));
console.log(
  JSON.stringify({
    statuses,
    before: [before.outcome, before.person_id],
    erased: receipt.photos_erased,
    after: [after.outcome, after.person_id],
  }),
);
