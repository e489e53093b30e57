package sandbox

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"sparekey/internal/judge"
)

func TestEveryAnswerHasTheShapeThatBotocoreExpects(t *testing.T) {
	t.Parallel() // most of its time is Python's
	python := judge.Find(t, "python3", "apt-get install python3")
	if err := exec.Command(python, "-c", "import botocore").Run(); err != nil {
		judge.Missing(t, "python3 cannot import botocore; install it with: pip install botocore")
	}
	f := start(t)
	server := httptest.NewServer(f)
	defer server.Close()
	key := f.Key(managementID, "judge")
	c := exec.Command(python, "../../.ci/judges/shapes.py")
	c.Env = append(os.Environ(), "SANDBOX_URL="+server.URL, "SANDBOX_REGION=us-east-1", "SANDBOX_KEY="+key.AccessKeyID,
		"SANDBOX_SECRET="+key.SecretAccessKey, "SANDBOX_CONTROL="+f.Control(), "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null", "PYTHONDONTWRITEBYTECODE=1")
	said, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	t.Logf("%s", said)
}
