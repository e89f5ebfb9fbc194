# A follower's clock ends a lease, or nobody can tell which leader decided it.
(cluster nodes=3)
(campaign 1)
(stabilize)
(grant 2 5 3)
(propose 2 a lease=5)
(stabilize)
(run 2900ms)
expect 1 wanted="" leases=5 keys=a
---
as expected

# After three seconds of the leader's clock the lease goes, and its key with it.
(run 400ms)
expect 1 wanted="revoke 5 @1" leases="" keys=""
expect 2 wanted="" leases="" keys=""
expect 3 wanted="" leases="" keys=""
---
as expected
as expected
as expected
