-- One row: the number of the last change, the head of the audit's chain, and secrets sealed with the master key.
CREATE TABLE gallery (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision BIGINT NOT NULL,
    head BYTEA NOT NULL,
    secrets BYTEA NOT NULL
);

-- `key` is sealed with the master key, `profile` with the person's key.
CREATE TABLE people (
    person_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key BYTEA NOT NULL,
    profile BYTEA NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    expires_at TEXT COLLATE "C",
    revision BIGINT NOT NULL
);

CREATE INDEX people_by_revision ON people (revision);

CREATE INDEX people_by_expiry ON people (expires_at) WHERE expires_at IS NOT NULL;

-- `vector` is sealed with the person's key: the embedding's float32 values.
CREATE TABLE photos (
    person_id TEXT COLLATE "C" NOT NULL REFERENCES people (person_id),
    photo_id TEXT NOT NULL,
    contract_id TEXT NOT NULL,
    vector BYTEA NOT NULL,
    enrolled_at TEXT NOT NULL,
    quality TEXT NOT NULL,
    warnings TEXT NOT NULL,
    PRIMARY KEY (person_id, photo_id, contract_id)
);

-- Append-only: an entry for each change, `number` is the revision that it made. `mac` holds the chain together.
CREATE TABLE audit (
    number BIGINT NOT NULL PRIMARY KEY,
    at TEXT NOT NULL,
    caller TEXT NOT NULL,
    action TEXT NOT NULL,
    person TEXT NOT NULL,
    outcome TEXT NOT NULL,
    mac BYTEA NOT NULL
);
