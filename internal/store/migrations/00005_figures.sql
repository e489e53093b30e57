-- What is counted while somebody watches: grants by state, and ends that are late. An older program that writes beside this
-- one leaves ends_at as it was; the grant's next step corrects it.

-- +goose Up
ALTER TABLE grants ADD COLUMN ends_at BIGINT NOT NULL DEFAULT 0;
UPDATE grants SET ends_at = due WHERE state = 'active';
CREATE INDEX grants_ends ON grants (ends_at) WHERE ends_at > 0;
CREATE INDEX grants_state ON grants (state, way) WHERE due > 0;

-- +goose Down
DROP INDEX grants_state;
DROP INDEX grants_ends;
ALTER TABLE grants DROP COLUMN ends_at;
