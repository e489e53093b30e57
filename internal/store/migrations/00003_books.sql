-- Books of rules that were proposed, with their files. At most one is in force.

-- +goose Up
CREATE TABLE books (
    id           TEXT   PRIMARY KEY,
    version      BIGINT NOT NULL,
    state        TEXT   NOT NULL,
    digest       TEXT   NOT NULL,
    proposed_at  BIGINT NOT NULL,
    activated_at BIGINT NOT NULL,
    body         TEXT   NOT NULL,
    files        TEXT   NOT NULL
);
CREATE UNIQUE INDEX books_in_force ON books (state) WHERE state = 'in-force';
CREATE INDEX books_open ON books (proposed_at, id) WHERE state = 'proposed';
CREATE INDEX books_activated ON books (activated_at, id) WHERE activated_at > 0;
CREATE INDEX books_digest ON books (digest, proposed_at, id);

-- +goose Down
DROP TABLE books;
