package rules

// bits is a set of small numbers: the accounts of a mirror by their place in its list.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bits) add(o bits) {
	for i := range b {
		b[i] |= o[i]
	}
}

func (b bits) keep(o bits) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b bits) drop(o bits) {
	for i := range b {
		b[i] &^= o[i]
	}
}

func (b bits) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

func (b bits) fill(n int) {
	for i := range n {
		b.set(i)
	}
}
