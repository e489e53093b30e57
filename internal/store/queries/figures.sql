-- name: CountGrants :many
SELECT state, way, COUNT(*) AS grants FROM grants WHERE due > 0 GROUP BY state, way ORDER BY state, way;

-- name: FirstEnd :one
SELECT ends_at FROM grants WHERE ends_at > 0 ORDER BY ends_at LIMIT 1;

-- name: CountEnds :one
SELECT COUNT(*) FROM grants WHERE ends_at > 0 AND ends_at <= @now;

-- name: CountOpenRequests :one
SELECT COUNT(*) FROM requests WHERE open = 1;
