-- Groups of nobody that keep roles. Session kills: what a service control policy denies, or is to deny, to sessions that were made before access was taken away.

-- +goose Up
CREATE TABLE kills (
    id        TEXT   PRIMARY KEY,
    version   BIGINT NOT NULL,
    person    TEXT   NOT NULL,
    open      BIGINT NOT NULL,
    wanted_at BIGINT NOT NULL,
    body      TEXT   NOT NULL
);
CREATE INDEX kills_open ON kills (wanted_at, id) WHERE open = 1;
CREATE INDEX kills_wanted ON kills (wanted_at, id);
CREATE INDEX kills_person ON kills (person, wanted_at, id);

CREATE TABLE anchors (
    account        TEXT NOT NULL,
    permission_set TEXT NOT NULL,
    body           TEXT NOT NULL,
    PRIMARY KEY (account, permission_set)
);

-- +goose Down
DROP TABLE anchors;
DROP TABLE kills;
