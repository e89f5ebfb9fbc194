# Contract item 60: a list of leases comes in no order that means anything.
(cluster nodes=3)
(campaign 1)
(stabilize)
(grant 1 5 60)
(grant 1 6 20)
(grant 1 7 40)
(stabilize)
list 1 1
expect 1 listed.1="6 7 5"
---
n1 lists leases [6, 7, 5] for 1
as expected

# A follower has no clock: it lists them by id.
list 2 1
expect 2 listed.1="5 6 7"
---
n2 lists leases [5, 6, 7] for 1
as expected
