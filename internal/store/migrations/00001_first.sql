-- The same file runs on SQLite and PostgreSQL: times are milliseconds since 1970 in BIGINT, zero for never; nothing is NULL;
-- bodies are canonical JSON in TEXT, and the columns beside them are what is looked up by.

-- +goose Up
CREATE TABLE log_head (
    id  BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL
);
INSERT INTO log_head (id, seq) VALUES (1, 0);

CREATE TABLE events (
    seq          BIGINT PRIMARY KEY,
    at           BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    subject_kind TEXT   NOT NULL,
    subject_id   TEXT   NOT NULL,
    body         TEXT   NOT NULL
);
CREATE INDEX events_subject ON events (subject_kind, subject_id, seq);

CREATE TABLE requests (
    id        TEXT   PRIMARY KEY,
    version   BIGINT NOT NULL,
    requester TEXT   NOT NULL,
    open      BIGINT NOT NULL,
    asked_at  BIGINT NOT NULL,
    body      TEXT   NOT NULL
);
CREATE INDEX requests_requester ON requests (requester, asked_at, id);
CREATE INDEX requests_open ON requests (asked_at, id) WHERE open = 1;

CREATE TABLE grants (
    id             TEXT   PRIMARY KEY,
    version        BIGINT NOT NULL,
    request        TEXT   NOT NULL,
    person         TEXT   NOT NULL,
    way            TEXT   NOT NULL,
    account        TEXT   NOT NULL,
    permission_set TEXT   NOT NULL,
    state          TEXT   NOT NULL,
    live           BIGINT NOT NULL,
    due            BIGINT NOT NULL,
    urgency        BIGINT NOT NULL,
    approved_at    BIGINT NOT NULL,
    body           TEXT   NOT NULL
);
CREATE INDEX grants_due ON grants (urgency, due) WHERE due > 0;
CREATE INDEX grants_busy ON grants (account) WHERE state IN ('granting', 'ending');
CREATE INDEX grants_key ON grants (person, account, permission_set) WHERE due > 0;
CREATE INDEX grants_person ON grants (person, approved_at, id);
CREATE INDEX grants_live ON grants (approved_at, id) WHERE live = 1;
CREATE INDEX grants_request ON grants (request);

CREATE TABLE leases (
    name   TEXT   PRIMARY KEY,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL,
    epoch  BIGINT NOT NULL
);

CREATE TABLE replies (
    person  TEXT   NOT NULL,
    key     TEXT   NOT NULL,
    digest  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (person, key)
);
CREATE INDEX replies_at ON replies (at);

CREATE TABLE mirror_head (
    id         BIGINT PRIMARY KEY,
    generation BIGINT NOT NULL,
    read_at    BIGINT NOT NULL,
    body       TEXT   NOT NULL
);
INSERT INTO mirror_head (id, generation, read_at, body) VALUES (1, 0, 0, '{}');

CREATE TABLE mirror_items (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- +goose Down
DROP TABLE mirror_items;
DROP TABLE mirror_head;
DROP TABLE replies;
DROP TABLE leases;
DROP TABLE grants;
DROP TABLE requests;
DROP TABLE events;
DROP TABLE log_head;
