# Contract items 15, 16 and 59: a key hangs on a lease that is not its own any more, or goes with it.
put a 1 lease=5
expect answer="refused at revision 1: LeaseNotFound" applied=1
---
refused at revision 1: LeaseNotFound
as expected

grant 5 60
grant 6 60
(put a 1 lease=5)
(put b 1 lease=5)
(put c 1 lease=5)
put a 2 lease=6
put b 2
expect attached.5="c" attached.6="a" lease.a=6 lease.b=0
---
revision 1, lease 5 for 60s
revision 1, lease 6 for 60s
revision 5
revision 6
as expected

# All keys of a lease go in one revision.
(put d 1 lease=5)
watch w all
revoke 5
poll w
expect got.w="-c@8 -d@8" leases="6" keys="a b" rev=8
---
looks at 8 next
revision 8
[-c@8 -d@8] next 9, synced
as expected

revoke 5
grant 6 60
expect answer="refused at revision 8: LeaseExists" value.a=2
---
refused at revision 8: LeaseNotFound
refused at revision 8: LeaseExists
as expected
