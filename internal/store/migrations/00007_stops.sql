-- What the red button ended, and keeps from starting.

-- +goose Up
CREATE TABLE stops (
    id      TEXT   PRIMARY KEY,
    version BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    body    TEXT   NOT NULL
);
CREATE INDEX stops_ending ON stops (at, id) WHERE state = 'ending';
CREATE INDEX stops_holding ON stops (until) WHERE until > 0 AND state <> 'lifted';
CREATE INDEX stops_at ON stops (at, id);

-- +goose Down
DROP TABLE stops;
