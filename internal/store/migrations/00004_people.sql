-- What people owe and arrange: reviews, delegations, favourites; and the groups that Sparekey made to lend by membership.

-- +goose Up
CREATE TABLE reviews (
    id      TEXT   PRIMARY KEY,
    version BIGINT NOT NULL,
    person  TEXT   NOT NULL,
    open    BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    body    TEXT   NOT NULL
);
CREATE INDEX reviews_open ON reviews (due, id) WHERE open = 1;
CREATE INDEX reviews_person ON reviews (person, due, id);

CREATE TABLE delegations (
    person TEXT   PRIMARY KEY,
    until  BIGINT NOT NULL,
    body   TEXT   NOT NULL
);

CREATE TABLE favourites (
    person TEXT NOT NULL,
    name   TEXT NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (person, name)
);

CREATE TABLE lent_groups (
    account        TEXT NOT NULL,
    permission_set TEXT NOT NULL,
    body           TEXT NOT NULL,
    PRIMARY KEY (account, permission_set)
);


-- +goose Down
DROP TABLE lent_groups;
DROP TABLE favourites;
DROP TABLE delegations;
DROP TABLE reviews;
