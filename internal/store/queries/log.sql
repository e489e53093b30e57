-- name: LockLog :one
UPDATE log_head SET seq = seq WHERE id = 1 RETURNING seq, least_writer;

-- name: LeastWriter :one
SELECT least_writer FROM log_head WHERE id = 1;

-- name: AdvanceLog :exec
UPDATE log_head SET seq = @seq WHERE id = 1;

-- name: HeadOfLog :one
SELECT seq FROM log_head WHERE id = 1;

-- name: AppendEvent :exec
INSERT INTO events (seq, at, kind, actor, subject_kind, subject_id, body)
VALUES (@seq, @at, @kind, @actor, @subject_kind, @subject_id, @body);

-- name: EventsAfter :many
SELECT seq, body FROM events WHERE seq > @after ORDER BY seq LIMIT @most;

-- name: EventsOf :many
SELECT seq, body FROM events WHERE subject_kind = @kind AND subject_id = @id ORDER BY seq;
