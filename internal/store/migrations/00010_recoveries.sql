-- The times that a database was found to be behind what was written in the second place, and by whom it was released.

-- +goose Up
CREATE TABLE recoveries (
    id      TEXT   PRIMARY KEY,
    version BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    body    TEXT   NOT NULL
);
CREATE INDEX recoveries_at ON recoveries (at, id);

-- +goose Down
DROP TABLE recoveries;
