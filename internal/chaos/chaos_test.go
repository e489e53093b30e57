package chaos

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var (
	runs = flag.Int("chaos.runs", 0, "how many runs to play; 0: a short one")
	seed = flag.Uint64("chaos.seed", 0, "of the first run; the others count on; 0: any")
	tell = flag.Bool("chaos.tell", false, "tell all of runs that pass")
)

// versions are what the two programs say that they are, and programs where they lie.
var (
	versions = [2]string{"v0.0.1-chaos", "v0.0.2-chaos"}
	programs [2]string
)

// build builds the program as each of the versions that are wanted.
func build(t *testing.T, wanted int) {
	t.Helper()
	folder := t.TempDir()
	for i := range wanted {
		programs[i] = filepath.Join(folder, versions[i])
		c := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X sparekey/internal/cli.release="+versions[i], "-o", programs[i], "sparekey/cmd/sparekey")
		if said, err := c.CombinedOutput(); err != nil {
			t.Fatalf("building: %v\n%s", err, said)
		}
	}
}

// TestChaos plays runs from a seed on, several at once (-parallel): they wait more than they work.
func TestChaos(t *testing.T) {
	if *runs == 0 {
		build(t, 1)
		played(t, short())
		return
	}
	build(t, len(programs))
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano() % 1e9)
	}
	for i := range uint64(*runs) {
		t.Run(fmt.Sprintf("seed %d", first+i), func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("make chaos SEED=%d RUNS=1 plays it again", first+i)
				}
			}()
			played(t, drawn(first+i))
		})
	}
}

// played plays a plan, and looks all the while at what must hold.
func played(t *testing.T, p plan) {
	w := newWorld(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	defer func() {
		cancel()
		watching.Wait()
	}()
	w.play()
}
