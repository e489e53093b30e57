-- name: PutScan :exec
INSERT INTO scans (account, at, found, body) VALUES (@account, @at, @found, @body)
ON CONFLICT (account) DO UPDATE SET at = excluded.at, found = excluded.found, body = excluded.body;

-- name: Scan :one
SELECT at, body FROM scans WHERE account = @account;

-- name: ScanTimes :many
SELECT account, at FROM scans;

-- name: ScansWithFindings :many
SELECT account, at, body FROM scans WHERE found > 0 ORDER BY account;

-- name: DropScan :exec
DELETE FROM scans WHERE account = @account;

-- name: GrantsInAccount :many
SELECT body FROM grants WHERE account = @account AND way = 'assignment' AND (live = 1 OR due > 0 OR approved_at > @since) ORDER BY approved_at;
