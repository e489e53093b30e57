-- Which programs may write: those that know the tables of this version at least. A migration that takes something away from
-- older programs raises it; see CONTRIBUTING.md. It stands beside the head of the log, which each writing transaction locks
-- and reads anyway.

-- +goose Up
ALTER TABLE log_head ADD COLUMN least_writer BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE log_head DROP COLUMN least_writer;
