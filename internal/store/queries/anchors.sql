-- name: PutAnchor :exec
INSERT INTO anchors (account, permission_set, body) VALUES (@account, @permission_set, @body)
ON CONFLICT (account, permission_set) DO UPDATE SET body = excluded.body;

-- name: Anchor :one
SELECT body FROM anchors WHERE account = @account AND permission_set = @permission_set;

-- name: Anchors :many
SELECT body FROM anchors ORDER BY account, permission_set;
