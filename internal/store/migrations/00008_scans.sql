-- What a look at an account found, and when a live grant was last seen in AWS.

-- +goose Up
CREATE TABLE scans (
    account TEXT   PRIMARY KEY,
    at      BIGINT NOT NULL,
    found   BIGINT NOT NULL,
    body    TEXT   NOT NULL
);
CREATE INDEX scans_found ON scans (account) WHERE found > 0;

CREATE INDEX grants_account ON grants (account, approved_at);

-- +goose Down
DROP INDEX grants_account;
DROP TABLE scans;
