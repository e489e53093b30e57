package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNetworkFileSystemsAreKnownByTheirNumbers(t *testing.T) {
	for _, c := range []struct {
		magic uint32
		want  string
	}{
		{0x6969, "NFS"}, {0xFF534D42, "SMB"}, {0xFE534D42, "SMB"}, {0x517B, "SMB"}, {0x01021997, "9P"}, {0x65735546, "FUSE"}, {0x00C36400, "Ceph"},
		{0x5346414F, "AFS"}, {0x0BD00BD0, "Lustre"},
		{0xEF53, ""},     // ext4
		{0x58465342, ""}, // XFS
		{0x9123683E, ""}, // Btrfs
		{0x2FC12FC1, ""}, // ZFS
		{0x01021994, ""}, // tmpfs
		{0x794C7630, ""}, // overlayfs, as in containers
		{0xF2F52010, ""}, // F2FS
		{0, ""},
	} {
		if got := networked(c.magic); got != c.want {
			t.Errorf("%#x is %q, want %q", c.magic, got, c.want)
		}
	}
}

func TestRoomEndsAndComesBackWithAMargin(t *testing.T) {
	free := uint64(plenty)
	path := filepath.Join(t.TempDir(), "s.db")
	s, err := Open(t.Context(), "sqlite:"+path, FreeBy(func(folder string) (uint64, error) {
		if folder != filepath.Dir(path) {
			t.Errorf("it measures %s", folder)
		}
		return free, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, step := range []struct {
		free          uint64
		room, ballast bool
	}{
		{plenty - 1, true, false}, {plenty, true, true}, {least, true, true}, {least - 1, false, true}, {least, false, true}, {last - 1, false, false},
		{last, false, false}, {plenty - 1, false, false}, {plenty, true, true}, {0, false, false}, {1 << 40, true, true},
	} {
		free = step.free
		why := s.Room()
		info, err := os.Stat(path + ".ballast")
		if (why == "") != step.room || (err == nil) != step.ballast || err == nil && info.Size() != ballast {
			t.Errorf("step %d: %q, ballast %v", i, why, err)
		}
	}
}

// TestAFullDatabaseThrowsItsBallast lets the database grow no further, which SQLite reports as a full disk does.
func TestAFullDatabaseThrowsItsBallast(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "s.db"), FreeBy(func(string) (uint64, error) { return 1 << 40, nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if why := s.Room(); why != "" {
		t.Fatal(why)
	}
	if _, err := s.write.Exec("PRAGMA max_page_count = 1"); err != nil { // of which SQLite makes as many as there are
		t.Fatal(err)
	}
	long := strings.Repeat("x", 100_000)
	if err := s.Update(t.Context(), func(tx *Tx) error { return tx.PutReply("p", "k", Reply{long, "s"}, start) }); err == nil {
		t.Error("it was kept")
	}
	if _, err := os.Stat(s.room.ballast); err == nil {
		t.Error("the ballast is still there")
	}
	if !s.room.short {
		t.Error("it does not know that there is no room")
	}
}
