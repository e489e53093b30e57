package broker_test

import (
	"context"
	"testing"
	"time"

	"sparekey/audit"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// onLarge measures on a broker that has read the rig's large organization, over both engines.
func onLarge(b *testing.B, do func(b *testing.B, r *rig.Rig, i int) error) {
	for name, address := range rig.Engines {
		b.Run(name, func(b *testing.B) {
			r := rig.New(b, address(b), sandbox.Behaviour{})
			o := rig.Large()
			o.ReadAt = r.Clock.Now()
			if err := r.Store.Update(b.Context(), func(tx *store.Tx) error { _, err := tx.PutMirror(o); return err }); err != nil {
				b.Fatal(err)
			}
			r.O = o
			r.Ruled(string(rig.LargeBook(0)[0].Text))
			if err := r.Broker.Follow(b.Context()); err != nil {
				b.Fatal(err)
			}
			rig.Spread(b, func(i int) {
				if err := do(b, r, i); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func somebody(b *testing.B, o org.Organization, i int) (context.Context, org.Person) {
	p := o.People[i*7919%len(o.People)]
	return audit.With(b.Context(), audit.Cause{Actor: audit.Actor{Kind: audit.APerson, ID: string(p.ID), Name: p.User}}), p
}

// BenchmarkWhy is the whole of `sparekey why`, as the server answers it, without the network.
func BenchmarkWhy(b *testing.B) {
	onLarge(b, func(b *testing.B, r *rig.Rig, i int) error {
		ctx, p := somebody(b, r.O, i)
		_, err := r.Broker.Why(ctx, broker.Question{Person: p.User, Duration: time.Hour, Names: broker.Names{
			Account: r.O.Accounts[i*31%len(r.O.Accounts)].Name, PermissionSet: r.O.PermissionSets[i%len(r.O.PermissionSets)].Name,
		}})
		return err
	})
}

// BenchmarkAccess is the whole of `sparekey access`: a page of what somebody may ask for.
func BenchmarkAccess(b *testing.B) {
	onLarge(b, func(b *testing.B, r *rig.Rig, i int) error {
		ctx, _ := somebody(b, r.O, i)
		_, _, err := r.Broker.Offers(ctx, broker.OfferFilter{Limit: 200})
		return err
	})
}
