-- How many people there are: counting them at each enrolment would take the longer, the more there are.
ALTER TABLE gallery ADD COLUMN people INTEGER NOT NULL DEFAULT 0;

UPDATE gallery SET people = (SELECT COUNT(*) FROM people);
