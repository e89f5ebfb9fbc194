# Contract item 59: nobody could renew during the election, and a new leader ends a lease early.
(cluster nodes=3)
(campaign 1)
(stabilize)
(grant 2 5 10)
(stabilize)
(run 9s)
(ask 2 1 remaining 5)
(stabilize)
expect 2 told.1=1
---
as expected

# All of its time, from the moment at which the new clock starts.
(crash 1)
(run 2500ms)
(ask 2 2 remaining 5)
(stabilize)
expect 2 told.2=10 leases=5
---
as expected

(run 9s)
expect 2 leases=5
(run 4s)
expect 2 leases=""
---
as expected
as expected
