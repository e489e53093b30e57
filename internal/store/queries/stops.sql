-- name: Stop :one
SELECT body FROM stops WHERE id = @id;

-- name: InsertStop :exec
INSERT INTO stops (id, version, state, at, until, body) VALUES (@id, @version, @state, @at, @until, @body);

-- name: UpdateStop :execrows
UPDATE stops SET version = @version, state = @state, body = @body WHERE id = @id AND version = @was;

-- name: EndingStops :many
SELECT body FROM stops WHERE state = 'ending' ORDER BY at, id;

-- name: HoldingStops :many
SELECT body FROM stops WHERE until > 0 AND state <> 'lifted' AND until > @now ORDER BY until;

-- name: StopsBefore :many
SELECT body FROM stops WHERE at < @at OR at = @at AND id < @id ORDER BY at DESC, id DESC LIMIT @most;
