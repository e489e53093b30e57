-- name: InsertRecovery :exec
INSERT INTO recoveries (id, version, state, at, body) VALUES (@id, @version, @state, @at, @body);

-- name: UpdateRecovery :execrows
UPDATE recoveries SET version = @version, state = @state, body = @body WHERE id = @id AND version = @was;

-- name: NewestRecovery :one
SELECT body FROM recoveries ORDER BY at DESC, id DESC LIMIT 1;
