package judge

import (
	"database/sql"
	"strings"
	"testing"
)

func TestPostgresGivesEveryTestADatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		db, err := sql.Open("pgx", Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("CREATE TABLE own (id BIGINT PRIMARY KEY)"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheCLISpeaksToMoto(t *testing.T) {
	url := Moto(t)
	said, err := CLI(t, url, "us-east-1", "AKIAIOSFODNN7EXAMPLE", "secret", "").Run("sts", "get-caller-identity")
	if err != nil || !strings.Contains(said, `"Arn"`) {
		t.Errorf("%s, %v", said, err)
	}
}
