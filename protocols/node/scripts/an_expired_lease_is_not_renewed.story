# Contract item 57: a lease that is being revoked is renewed, so that its owner believes in a lease
# that is about to go.
(cluster nodes=3)
(campaign 1)
(stabilize)
(grant 1 5 3)
(stabilize)
(disk 2 hold)
(disk 3 hold)
(run 3500ms)
expect 1 wanted="revoke 5 @1" leases=5
---
as expected

ask 1 1 renew 5
(run 200ms)
expect 1 told.1=pending
---
as expected

(disk 2 release)
(disk 3 release)
(stabilize)
expect 1 told.1=0 leases=""
---
as expected
