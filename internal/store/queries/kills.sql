-- name: Kill :one
SELECT body FROM kills WHERE id = @id;

-- name: InsertKill :exec
INSERT INTO kills (id, version, person, open, wanted_at, body) VALUES (@id, @version, @person, @open, @wanted_at, @body);

-- name: UpdateKill :execrows
UPDATE kills SET version = @version, open = @open, body = @body WHERE id = @id AND version = @was;

-- name: OpenKills :many
SELECT body FROM kills WHERE open = 1 ORDER BY wanted_at, id;

-- name: KillsBefore :many
SELECT body FROM kills WHERE wanted_at < @at OR wanted_at = @at AND id < @id ORDER BY wanted_at DESC, id DESC LIMIT @most;

-- name: KillsOfPersonBefore :many
SELECT body FROM kills WHERE person = @person AND (wanted_at < @at OR wanted_at = @at AND id < @id) ORDER BY wanted_at DESC, id DESC LIMIT @most;
